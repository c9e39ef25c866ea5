-- One row per customer, currency and instant at which the MRR or the number of live rows changes.
-- Why instants: snapshots and events are both read off the same changes. `ended`: subscriptions that
-- end then without another row in their place, each as (subscription, minus amount, cause), and
-- `ended_cause` of the largest; a row without a cause is of a subscription that goes on.
-- `pays` is who counts as a customer: with MRR, or under keeps_free still with a live free row.
with live as (
    select
        number as customer,
        currency,
        subscription,
        cause,
        amount,
        from_us,
        from_day,
        until_us,
        until_day
    from periods
    where from_us is distinct from until_us
),

starts as (
    select distinct
        customer,
        currency,
        subscription,
        from_us
    from live
),

ends as (
    select
        l.customer,
        l.currency,
        l.subscription,
        l.until_us as at_us,
        sum(-l.amount) as lost,
        min(l.cause) as cause
    from live as l
    left join starts as s
        on
            l.customer = s.customer
            and l.currency = s.currency
            and l.subscription = s.subscription
            and l.until_us = s.from_us
    where l.until_us is not null and l.cause is not null and s.from_us is null
    group by l.customer, l.currency, l.subscription, l.until_us
),

ended as (
    select
        customer,
        currency,
        at_us,
        list({'subscription': subscription, 'lost': lost, 'cause': cause}) as ended,
        min({'lost': lost, 'cause': cause}).cause as ended_cause
    from ends
    group by customer, currency, at_us
),

edges as (
    select
        customer,
        currency,
        from_us as at_us,
        from_day as day,
        amount as change,
        1 as live_change
    from live
    union all
    select
        customer,
        currency,
        until_us as at_us,
        until_day as day,
        -amount as change,
        -1 as live_change
    from live
    where until_us is not null
),

summed as (
    select
        customer,
        currency,
        at_us,
        min(day) as day,
        sum(change) as change,
        sum(live_change) as live_change
    from edges
    group by customer, currency, at_us
),

levels as (
    select
        *,
        sum(change) over (partition by customer, currency order by at_us) as now,
        sum(live_change) over (partition by customer, currency order by at_us) as live_now
    from summed
),

stays as (
    select
        *,
        now - change as before,
        sum(case when live_now = live_change then 1 else 0 end) over (
            partition by customer, currency order by at_us
        ) as stay
    from levels
),

paid as (
    select
        *,
        max(now > 0) over (partition by customer, currency, stay order by at_us) as has_paid
    from stays
),

standing as (
    select
        p.*,
        p.now > 0 or (o.keeps_free and p.live_now > 0 and p.has_paid) as pays
    from paid as p
    cross join options as o
)

select
    s.customer,
    s.currency,
    s.at_us,
    s.day,
    s.before,
    s.now,
    s.live_now,
    e.ended,
    e.ended_cause,
    coalesce(
        lag(s.pays) over (partition by s.customer, s.currency order by s.at_us), false
    ) as paid_before,
    s.pays,
    lead(s.at_us) over (partition by s.customer, s.currency order by s.at_us) as until_us
from standing as s
left join ended as e on s.customer = e.customer and s.currency = e.currency and s.at_us = e.at_us
