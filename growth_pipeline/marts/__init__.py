"""Stable, read-only views for BI tools over what is published, and the few tables kept for them.

Shapes and promises: docs/marts.md. Nothing here computes a metric.
"""
