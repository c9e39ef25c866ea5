"""From one policy's MRR to another's, customer by customer and switch by switch, nothing left over.

Contract: docs/metrics.md, "Policy bridge".
"""
