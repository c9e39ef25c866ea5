-- One row per period and currency in which something changes: MRR before discounts, and MRR with a set
-- date of cancellation.
select
    l.period,
    e.currency,
    sum(e.contract) as contract,
    sum(e.leaving) as leaving
from (
    select
        currency,
        from_us as at_us,
        contract,
        leaving
    from periods
    where from_us is distinct from until_us
    union all
    select
        currency,
        until_us as at_us,
        -contract as contract,
        -leaving as leaving
    from periods
    where from_us <> until_us
) as e
asof join looks as l on e.at_us <= l.look_us
group by l.period, e.currency
