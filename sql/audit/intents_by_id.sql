-- Grain: one payment intent of the wanted ids. Runs in the engine.
select p.id, p.created, p.status, p.currency, p.amount, p.latest_charge, p.customer
from payment_intents as p
semi join wanted as w on p.id = w.id
