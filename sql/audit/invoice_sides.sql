-- Audit: what was paid for invoices, on every side. Grain: one currency of invoices of the month
-- created before $cutoff. Runs in the engine.
with paid_of as (
    select invoice, sum(amount_paid) as paid_minor
    from invoice_payments
    where status = 'paid'
    group by invoice
)

select
    i.currency,
    count(*) as invoices,
    sum(i.amount_paid) as paid_minor,
    sum(p.paid_minor) as payments_minor,
    count(m.id) as mirrored,
    sum(m.amount_paid) as mirrored_minor,
    sum(m.paid_minor) as mirrored_payments_minor
from invoices as i
left join paid_of as p on i.id = p.invoice
left join mirrored as m on i.id = m.id
where i.created < $cutoff
group by i.currency
order by i.currency
