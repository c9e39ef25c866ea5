-- Grain: one paid invoice payment of the wanted invoices. Runs in the engine.
select
    p.id,
    p.invoice,
    p.amount_paid,
    coalesce(p.charge, p.payment_intent, p.payment_record) as payment
from invoice_payments as p
semi join wanted as w on p.invoice = w.id
where p.status = 'paid'
order by p.id
