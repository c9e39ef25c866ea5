-- Grain: one currency in which anything was ever live, and its first day.
select d.currency, min(d.day) as first_day
from revenue.mrr_daily as d
where d.policy = %(policy)s
group by d.currency
