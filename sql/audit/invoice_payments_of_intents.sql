-- Grain: one invoice payment of the wanted payment intents. Runs in the engine.
select p.id, p.payment_intent, p.invoice
from invoice_payments as p
semi join wanted as w on p.payment_intent = w.id
