-- Audit: refunds and disputes whose charge is not among the month's. Grain: one refund or dispute.
-- Only candidates: other months, the books, the mirror and Stripe are asked next. Runs in the engine.
select 'refund' as object, r.id, r.charge, r.currency, r.amount, r.status
from refunds as r
anti join charges as c on r.charge = c.id
where r.charge is not null and r.created >= $start and r.created < $cutoff
union all
select 'dispute' as object, d.id, d.charge, d.currency, d.amount, d.status
from disputes as d
anti join charges as c on d.charge = c.id
where d.charge is not null and d.created >= $start and d.created < $cutoff
