"""Activity: who the users are, and one row per user and day of what they did.

`adopt` points at the company's own tables, `rollup` reads what it points at. Contract:
docs/metrics.md, "Activity".
"""
