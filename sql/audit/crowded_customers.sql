-- Grain: one running subscription of a customer who has several. Runs in the engine.
-- Why only some of them: one customer's second subscription can stand in any month's file.
with running as (
    select
        id,
        customer,
        api_version,
        epoch(fetched_from)::bigint as fetched,
        raw
    from subscriptions
    where status in ('trialing', 'active', 'past_due') and cancel_at is null and not cancel_at_period_end
),

crowded as (
    select customer
    from running
    group by customer
    having count(distinct id) > 1
)

select r.*
from running as r
semi join crowded as c on r.customer = c.customer
order by r.customer, r.id
