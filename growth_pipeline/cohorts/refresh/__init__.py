"""Published retention, kept up to date: `plan` says which cells a change touches, `run` makes them.

`facts` and `published` are what is read and written in the lake, `short_days` what is kept so that
little must be read, `counting` how cells are counted from either, `judge` what must hold of them.
Contract: docs/metrics.md, "Cohorts and retention".
"""
