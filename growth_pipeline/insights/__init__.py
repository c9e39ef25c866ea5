"""Insights: the weekly digest of facts, claims by rules and by Claude, and the growth report."""
