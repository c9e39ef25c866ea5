-- Grain: one charge that was refunded or disputed, from the refunds and disputes Stripe listed.
-- Why: few charges have any, so everything after joins this small table once. Runs in the engine.
with refunds_of as (
    select
        charge,
        -- Sums of the engine are wider than bigint, and a file holds what is wider as a float.
        coalesce(sum(amount) filter (where status in ('succeeded', 'pending')), 0)::bigint
            as refunded_minor,
        list(amount order by id) filter (where status in ('failed', 'canceled')) as failed_refunds,
        max(created) as touched
    from refunds
    where charge is not null
    group by charge
),

disputes_of as (
    select
        charge,
        sum(withdrawn_minor)::bigint as withdrawn_minor,
        sum(reinstated_minor)::bigint as reinstated_minor,
        max(created) as touched
    from disputes
    where charge is not null
    group by charge
)

select
    coalesce(r.charge, d.charge) as charge,
    r.refunded_minor,
    r.failed_refunds,
    d.withdrawn_minor,
    d.reinstated_minor,
    greatest(r.touched, d.touched) as touched
from refunds_of as r
full outer join disputes_of as d on r.charge = d.charge
