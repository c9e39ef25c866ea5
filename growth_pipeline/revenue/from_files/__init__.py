"""MRR movements from a file of subscription periods: read, measured, told in a form.

What a movement is belongs to `revenue.movements`. Contract: docs/metrics.md, "MRR movements".
"""
