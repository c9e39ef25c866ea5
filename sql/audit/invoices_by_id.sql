-- Grain: one invoice of the wanted ids. Runs in the engine.
select i.id, i.created, i.status, i.currency, i.amount_paid, i.payment_intent, i.customer, i.raw
from invoices as i
semi join wanted as w on i.id = w.id
