-- One row per period, currency and segment: MRR before discounts, and MRR with a set date of
-- cancellation, of customers by their segment at the snapshot.
with held as (
    select
        p.number,
        p.currency,
        p.contract,
        p.leaving,
        f.period as from_period,
        coalesce(u.period, (select max(l.period) + 1 as beyond from looks as l)) as until_period
    from periods as p
    asof join looks as f on p.from_us <= f.look_us
    asof left join looks as u on p.until_us <= u.look_us
),

live as (
    select
        h.number,
        h.currency,
        h.contract,
        h.leaving,
        l.period,
        l.look_us
    from (
        select
            *,
            unnest(range(from_period, until_period)) as period
        from held
    ) as h
    inner join looks as l on h.period = l.period
)

select
    p.period,
    p.currency || chr(31) || coalesce('v' || g.segment, 'n') as currency,
    sum(p.contract) as contract,
    sum(p.leaving) as leaving
from live as p
asof left join segments as g
    on p.number = g.number and p.currency = g.currency and p.look_us >= g.at_us
group by all
