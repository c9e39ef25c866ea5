-- Grain: one receipt. In Postgres.
select policy, period_start, options, inputs, code_version, as_of, known_at, figures, rows_artifact, receipt_id
from revenue.receipts
where receipt_id = %(receipt_id)s
