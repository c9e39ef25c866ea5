"""Product events: the catalogue, the ingest, the daily rollup of activity, where users come from.

Cohorts and metrics are made of them elsewhere.
"""
