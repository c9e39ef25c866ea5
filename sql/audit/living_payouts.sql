-- Grain: one living row of stripe.payouts of the month, with the fields that no other class names.
-- Instants in epoch seconds, as the extract has them. Runs in Postgres.
select
    id,
    api_version,
    state_at,
    currency,
    amount,
    status,
    automatic,
    extract(epoch from arrival_date)::int8 as arrival_date,
    type,
    method,
    reconciliation_status,
    failure_code
from stripe.payouts
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and created_at >= %(start)s
    and created_at < %(end)s
    and deleted_at is null
