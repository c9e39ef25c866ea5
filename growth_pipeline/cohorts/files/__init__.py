"""Reading files that people made: users and activity, CSV or Parquet, into facts of users and days.

`sources` opens and names columns, `rows` reads the values, `faults` says what is wrong and where,
`facts` makes what the retention and activity queries take. Contract: docs/metrics.md, "Files".
"""
