-- Grain: one policy, month and currency with MRR that became known otherwise since an instant.
select r.currency, r.period_start, count(*) as customers
from revenue.restatements as r
where r.policy = %(policy)s and r.noted_at >= %(since)s
group by r.currency, r.period_start
