-- Grain: one living row of stripe.subscriptions of the month, with the fields that no other class names.
-- Instants in epoch seconds, as the extract has them. Runs in Postgres.
select
    id,
    api_version,
    state_at,
    customer,
    currency,
    extract(epoch from start_date)::int8 as start_date,
    cancel_at_period_end,
    extract(epoch from cancel_at)::int8 as cancel_at,
    extract(epoch from trial_start)::int8 as trial_start,
    extract(epoch from trial_end)::int8 as trial_end,
    extract(epoch from billing_cycle_anchor)::int8 as billing_cycle_anchor,
    collection_method,
    pause_collection_behavior,
    extract(epoch from pause_collection_resumes_at)::int8 as pause_collection_resumes_at,
    schedule
from stripe.subscriptions
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and created_at >= %(start)s
    and created_at < %(end)s
    and deleted_at is null
