"""Where data rests and how it is reached: Postgres, the Parquet lake, the engine, migrations.

Nothing here knows what a payment or a finding is; slices bring their own statements.
"""
