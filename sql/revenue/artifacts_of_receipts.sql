-- Grain: one file of row ids of a receipt that a published figure has. In Postgres.
select distinct r.rows_artifact
from revenue.receipts as r
where
    r.policy = any(%(policies)s::text [])
    and r.receipt_id in (select f.receipt_id from revenue.figures as f where f.receipt_id is not null)
order by r.rows_artifact
