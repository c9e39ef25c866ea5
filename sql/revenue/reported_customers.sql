-- Grain: one day with its customers who have MRR in any currency at its end. In Postgres.
select
    d.day,
    count(distinct (s.account_id, s.customer_id)) as customers
from unnest(%(days)s::date []) as d (day)
left join revenue.mrr_spells as s
    on
        s.policy = %(policy)s
        and s.from_on <= d.day
        and coalesce(s.until_on, 'infinity') > d.day
        and s.mrr_minor > 0
group by d.day
