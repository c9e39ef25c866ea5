-- Grain: one invoice payment of the wanted ids. Runs in the engine.
select
    p.id,
    p.created,
    p.status,
    p.currency,
    p.amount_requested,
    p.amount_paid,
    p.payment_intent,
    p.charge,
    p.invoice
from invoice_payments as p
semi join wanted as w on p.id = w.id
