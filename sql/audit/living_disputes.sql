-- Grain: one living row of stripe.disputes of the month, with the fields that no other class names.
-- Instants in epoch seconds, as the extract has them. Runs in Postgres.
select
    id,
    api_version,
    state_at,
    charge,
    payment_intent,
    reason,
    extract(epoch from evidence_due_by)::int8 as evidence_due_by
from stripe.disputes
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and created_at >= %(start)s
    and created_at < %(end)s
    and deleted_at is null
