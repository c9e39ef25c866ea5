-- Grain: one refund made since an instant, or one dispute, of the wanted charges. In the engine.
-- Why disputes of any age: their funds move long after they were opened.
select 'refund' as object, r.id, r.charge
from refunds as r
semi join wanted as w on r.charge = w.id
where r.created >= $since
union all
select 'dispute' as object, d.id, d.charge
from disputes as d
semi join wanted as w on d.charge = w.id
order by object, id
