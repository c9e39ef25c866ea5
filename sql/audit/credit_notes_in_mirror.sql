-- Grain: one mirrored credit note created in [start, end). Runs in Postgres.
select
    id,
    status,
    amount
from stripe.credit_notes
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and created_at >= %(start)s
    and created_at < %(end)s
