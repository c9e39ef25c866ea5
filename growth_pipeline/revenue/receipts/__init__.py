"""Receipts: what published figures of a month were made of, and whether they still follow from it.

Contract: docs/metrics.md, "Receipts".
"""
