-- Grain: one month end, or the last day, whose published sum is not that of the spells live then, counted
-- one by one; nothing where all is right. In Postgres.
with asked as (
    select day, max(day) over () as last_day
    from (select distinct day from revenue.mrr_daily where policy = %(policy)s) as d
),

ends as (
    select day from asked
    where day = last_day or extract(day from day + 1) = 1
),

counted as (
    select
        e.day,
        m.currency,
        case when bool_and(m.mrr_minor is not null) then sum(m.mrr_minor) end as mrr_minor,
        count(distinct (m.account_id, m.customer_id)) filter (where m.mrr_minor > 0) as customers,
        count(distinct (m.account_id, m.subscription_id)) as subscriptions
    from ends as e
    inner join revenue.mrr_spells as m
        on m.policy = %(policy)s and m.from_on <= e.day and (m.until_on is null or m.until_on > e.day)
    group by e.day, m.currency
)

select coalesce(c.day, p.day) || ' ' || coalesce(c.currency, p.currency) as fault
from counted as c
full join (
    select * from revenue.mrr_daily where policy = %(policy)s and day in (select e.day from ends as e)
) as p on c.day = p.day and c.currency = p.currency
where
    (c.mrr_minor, c.customers, c.subscriptions) is distinct from (p.mrr_minor, p.customers, p.subscriptions)
limit %(limit)s
