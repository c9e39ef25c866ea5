-- One row per horizon, period and currency in which something changes: changes of the members' MRR at
-- the opening (base), of what they pay now (kept), and of the lesser of both (kept_at_most).
-- Why changes: their running sums are NRR's and GRR's parts without a row per customer and period.
-- A step tells the MRR from its period on, and the MRR at the opening from the horizon later on.
with told as (
    select
        e.customer,
        e.currency,
        h.periods as horizon,
        e.period,
        e.now,
        e.run_period,
        null as base
    from steps as e
    cross join horizons as h
    union all
    select
        e.customer,
        e.currency,
        h.periods as horizon,
        e.period + h.periods as period,
        null as now,
        null as run_period,
        e.now as base
    from steps as e
    cross join horizons as h
    where e.period + h.periods <= (select max(l.period) as last_period from looks as l)
),

points as (
    select
        customer,
        currency,
        horizon,
        period,
        max(now) as now,
        max(run_period) as run_period,
        max(base) as base
    from told
    group by customer, currency, horizon, period
),

both_ends as (
    select
        customer,
        currency,
        horizon,
        period,
        coalesce(last_value(now ignore nulls) over w, 0) as now,
        last_value(run_period ignore nulls) over w as run_period,
        coalesce(last_value(base ignore nulls) over w, 0) as base
    from points
    window w as (partition by customer, currency, horizon order by period)
),

members as (
    select
        b.customer,
        b.currency,
        b.horizon,
        b.period,
        b.base,
        case
            when b.base = 0 then 0
            when o.only_unbroken and b.run_period > b.period - b.horizon then 0
            else b.now
        end as kept
    from both_ends as b
    cross join options as o
),

changes_of_parts as (
    select
        horizon,
        period,
        currency,
        base - lag(base, 1, 0) over w as base,
        kept - lag(kept, 1, 0) over w as kept,
        least(base, kept) - lag(least(base, kept), 1, 0) over w as kept_at_most
    from members
    window w as (partition by customer, currency, horizon order by period)
)

select
    horizon,
    period,
    currency,
    sum(base) as base,
    sum(kept) as kept,
    sum(kept_at_most) as kept_at_most
from changes_of_parts
group by horizon, period, currency
