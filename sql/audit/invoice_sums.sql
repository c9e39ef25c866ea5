-- Audit: invoices whose paid invoice payments do not add up to what was paid, on Stripe's side or in
-- the mirror. Grain: one invoice. An invoice without any paid payment is another class: it may be
-- paid from outside. What was paid after $cutoff is left alone. Runs in the engine.
with paid_of as (
    select
        invoice,
        count(*) as payments,
        sum(amount_paid) as paid_minor,
        max(paid_at) as paid_at,
        list(id order by id) as payment_ids
    from invoice_payments
    where status = 'paid'
    group by invoice
)

select
    i.id,
    i.currency,
    i.amount_paid,
    i.status,
    i.customer,
    p.paid_minor,
    p.payments,
    p.payment_ids,
    m.paid_minor as mirrored_minor
from invoices as i
join paid_of as p on i.id = p.invoice
left join mirrored as m on i.id = m.id and m.amount_paid = i.amount_paid
where
    i.created < $cutoff
    and coalesce(i.paid_at, 0) < $cutoff
    and coalesce(p.paid_at, 0) < $cutoff
    and (p.paid_minor <> i.amount_paid or m.paid_minor <> i.amount_paid)
