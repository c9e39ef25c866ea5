-- One row per horizon, period, currency and segment: NRR's and GRR's parts, as mrr_kept tells their
-- changes. A member belongs to its segment at the opening.
select
    h.periods as horizon,
    b.period + h.periods as period,
    b.packed as currency,
    sum(b.now) as base,
    sum(case when o.only_unbroken and n.run_period > b.period then 0 else coalesce(n.now, 0) end) as kept,
    sum(case when o.only_unbroken and n.run_period > b.period then 0 else least(b.now, coalesce(n.now, 0)) end)
        as kept_at_most
from panel as b
cross join horizons as h
cross join options as o
left join panel as n
    on b.customer = n.customer and b.currency = n.currency and b.period + h.periods = n.period
where b.now > 0
group by h.periods, b.period, b.packed
