-- Grain: one invoice that a wanted reference names alone, and of which no file names the payment
-- intent. Only then is the mirror asked. Runs in the engine.
select distinct w.invoice_id as id
from wanted as w
left join invoices as i on w.invoice_id = i.id
anti join invoice_payments as p on w.invoice_id = p.invoice
where
    w.invoice_id is not null
    and w.charge_id is null
    and w.payment_intent_id is null
    and w.invoice_payment_id is null
    and i.payment_intent is null
limit 100000
