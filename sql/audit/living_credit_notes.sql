-- Grain: one living row of stripe.credit_notes of the month, with the fields that no other class names.
-- Instants in epoch seconds, as the extract has them. Runs in Postgres.
select
    id,
    api_version,
    state_at,
    invoice,
    customer,
    type,
    reason,
    number
from stripe.credit_notes
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and created_at >= %(start)s
    and created_at < %(end)s
    and deleted_at is null
