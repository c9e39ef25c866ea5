-- One row per period and currency in which something changes: change of MRR and of customers, counted
-- from the rows and from single changes, not from the movements, which must come to the same.
with amounts as (
    select
        l.period,
        e.currency,
        sum(e.change) as mrr_change
    from (
        select
            currency,
            from_us as at_us,
            amount as change
        from periods
        where from_us is distinct from until_us
        union all
        select
            currency,
            until_us as at_us,
            -amount as change
        from periods
        where from_us <> until_us
    ) as e
    asof join looks as l on e.at_us <= l.look_us
    group by l.period, e.currency
),

counts as (
    select
        l.period,
        c.currency,
        sum(case when c.pays then 1 else 0 end - case when c.paid_before then 1 else 0 end)
            as customer_change
    from changes as c
    asof join looks as l on c.at_us <= l.look_us
    group by l.period, c.currency
)

select
    coalesce(a.period, c.period) as period,
    coalesce(a.currency, c.currency) as currency,
    coalesce(a.mrr_change, 0) as mrr_change,
    coalesce(c.customer_change, 0) as customer_change
from amounts as a
full join counts as c on a.period = c.period and a.currency = c.currency
