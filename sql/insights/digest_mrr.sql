-- Grain: one currency and asked day on which something is live in it: MRR at the end of the day.
select d.currency, d.day, d.mrr_minor
from revenue.mrr_daily as d
where d.policy = %(policy)s and d.day = any(%(days)s)
