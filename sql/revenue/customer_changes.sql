-- One row per period, customer and currency with a movement (event: and change, numbered in time);
-- none of customers with an item of unknown price in the period.
with unknown as (
    select distinct
        l.period,
        p.number,
        p.currency
    from (
        select
            period,
            look_us,
            lag(look_us, 1, -9223372036854775807) over (order by period) as open_us
        from looks
    ) as l
    inner join periods as p
        on l.look_us >= p.from_us and l.open_us < coalesce(p.until_us, 9223372036854775807)
    where p.is_unknown
)

select
    s.period,
    c.account_id,
    c.customer_id,
    s.currency,
    row_number() over (partition by s.period, c.account_id, c.customer_id, s.currency order by s.slot, s.customer)
        as number,
    s.before,
    s.now,
    k.movement,
    case when k.movement = 'churn' then s.cause end as cause
from steps as s
inner join kinds as k
    on
        s.was_customer = k.was_customer
        and s.is_customer = k.is_customer
        and s.direction = k.direction
        and s.earlier = k.earlier
        and coalesce(s.cause = 'paused', false) = k.paused
inner join (
    select distinct
        number,
        account_id,
        customer_id
    from periods
) as c on s.customer = c.number
left join unknown as u on s.period = u.period and s.customer = u.number and s.currency = u.currency
where u.number is null
order by s.period, c.account_id, c.customer_id, s.currency, number
