"""Retention of cohorts: `measure` asks the engine, `rules` decides what a count means.

`result` is what comes out and `faces` how it is written. Contract: docs/metrics.md, "Cohorts and
retention".
"""
