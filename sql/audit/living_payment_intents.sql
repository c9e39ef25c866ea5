-- Grain: one living row of stripe.payment_intents of the month, with the fields that no other class names.
-- Instants in epoch seconds, as the extract has them. Runs in Postgres.
select
    id,
    api_version,
    state_at,
    customer
from stripe.payment_intents
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and created_at >= %(start)s
    and created_at < %(end)s
    and deleted_at is null
