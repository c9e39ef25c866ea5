"""MRR: what subscriptions are worth a month, what moves it, and who stays. Never reads Stripe JSON.

Contract: docs/metrics.md, "MRR movements".
"""
