-- Grain: one refund or dispute of the wanted charges. Runs in the engine.
select 'refund' as object, r.id, r.charge
from refunds as r
semi join wanted as w on r.charge = w.id
union all
select 'dispute' as object, d.id, d.charge
from disputes as d
semi join wanted as w on d.charge = w.id
