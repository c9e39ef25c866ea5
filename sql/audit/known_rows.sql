-- Grain: one wanted payment id that is among the booked rows at hand. Runs in the engine.
select w.id
from wanted as w
semi join books as b on w.id = b.payment_id
