"""Reading files that people made, CSV or Parquet: what is in a column, exactly or refused by line.

`sources` opens and names columns, `rows` reads the values, `faults` says what is wrong and where.
What the values mean belongs to the slice that reads them. Contract: docs/metrics.md, "Files".
"""
