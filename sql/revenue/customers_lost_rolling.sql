-- One row per window and currency: as customers_lost, with the windows (open_us, close_us] that end with
-- each period, and the customers at both ends.
with spells as (
    select
        customer,
        currency,
        at_us,
        coalesce(until_us, 9223372036854775807) as until_us,
        pays,
        paid_before,
        case when live_now > 0 then 'to_free' else coalesce(ended_cause, 'unknown') end as cause,
        last_value(
            case
                when paid_before and not pays
                    then
                        case
                            when live_now > 0 then 'to_free'
                            else coalesce(ended_cause, 'unknown')
                        end
            end ignore nulls
        ) over (partition by customer, currency order by at_us) as left_cause
    from changes
),

opened as (
    select
        w.period,
        s.customer,
        s.currency
    from windows as w
    inner join spells as s on w.open_us >= s.at_us and w.open_us < s.until_us
    where s.pays
),

entered as (
    select distinct
        w.period,
        s.customer,
        s.currency
    from windows as w
    inner join spells as s on w.open_us < s.at_us and w.close_us >= s.at_us
    where s.pays and not s.paid_before
),

closed as (
    select
        w.period,
        s.customer,
        s.currency,
        s.pays,
        not s.pays and (o.count_paused or s.left_cause <> 'paused') as is_gone
    from windows as w
    inner join spells as s on w.close_us >= s.at_us and w.close_us < s.until_us
    cross join options as o
)

select
    c.period,
    c.currency,
    count(o.customer) as opening,
    count(*) filter (where c.pays) as closing,
    count(o.customer) filter (where c.is_gone) as opening_left,
    count(e.customer) filter (where o.customer is null) as entered,
    count(e.customer) filter (where o.customer is null and c.is_gone) as entered_left
from closed as c
left join opened as o
    on c.period = o.period and c.customer = o.customer and c.currency = o.currency
left join entered as e
    on c.period = e.period and c.customer = e.customer and c.currency = e.currency
group by c.period, c.currency
