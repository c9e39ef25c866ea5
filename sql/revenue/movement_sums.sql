-- One row per period, currency and movement (is_total), and per cause of it, null but for churn: signed
-- amount, customers, changes, and customers who switch currency: gone in one and come in another.
with named as (
    select
        s.customer,
        s.currency,
        s.period,
        s.now - s.before as amount,
        k.movement,
        case when k.movement = 'churn' then s.cause end as cause,
        k.movement = 'churn' as is_gone,
        s.is_customer and not s.was_customer as is_come
    from steps as s
    inner join kinds as k
        on
            s.was_customer = k.was_customer
            and s.is_customer = k.is_customer
            and s.direction = k.direction
            and s.earlier = k.earlier
            and coalesce(s.cause = 'paused', false) = k.paused
),

switching as (
    select
        customer,
        period,
        bool_or(is_gone) and bool_or(is_come) and count(distinct currency) > 1 as switches
    from named
    where is_gone or is_come
    group by customer, period
)

select
    n.period,
    n.currency,
    n.movement,
    n.cause,
    grouping(n.cause) = 1 as is_total,
    sum(n.amount) as amount,
    count(distinct n.customer) as customers,
    count(*) as changes,
    count(distinct n.customer) filter (where w.switches and (n.is_gone or n.is_come)) as switches
from named as n
left join switching as w on n.customer = w.customer and n.period = w.period
group by grouping sets (
    (n.period, n.currency, n.movement),
    (n.period, n.currency, n.movement, n.cause)
)
