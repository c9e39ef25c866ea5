-- Grain: one dispute of the wanted ids, as Stripe told it. Runs in the engine.
select d.id, d.raw
from disputes as d
semi join wanted as w on d.id = w.id
order by d.id
