-- One row per period, customer and currency with MRR, or who counts without: MRR and segment at the
-- period's snapshot, and the period since which there is MRR without a break.
with held as (
    select
        c.customer,
        c.currency,
        c.now,
        c.pays,
        f.period as from_period,
        coalesce(u.period, (select max(l.period) + 1 as beyond from looks as l)) as until_period
    from changes as c
    asof join looks as f on c.at_us <= f.look_us
    asof left join looks as u on c.until_us <= u.look_us
    where c.now > 0 or c.pays
),

panel as (
    select
        h.customer,
        h.currency,
        h.now,
        h.pays,
        l.period,
        l.look_us
    from (
        select
            *,
            unnest(range(from_period, until_period)) as period
        from held
    ) as h
    inner join looks as l on h.period = l.period
),

placed as (
    select
        p.*,
        g.segment
    from panel as p
    asof left join segments as g
        on p.customer = g.number and p.currency = g.currency and p.look_us >= g.at_us
)

select
    p.period,
    p.customer,
    p.currency,
    p.now,
    p.pays,
    p.currency || chr(31) || coalesce('v' || p.segment, 'n') as packed,
    s.run_period
from placed as p
asof left join steps as s
    on p.customer = s.customer and p.currency = s.currency and p.period >= s.period
