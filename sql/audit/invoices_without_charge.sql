-- Audit: paid invoices that no charge paid, the largest first. Grain: one invoice. Runs in the engine.
with paid_of as (
    select
        invoice,
        bool_or(payment_intent is not null or charge is not null) as is_charged,
        bool_or(payment_record is not null) as is_recorded
    from invoice_payments
    where status = 'paid'
    group by invoice
)

select
    i.id,
    i.currency,
    i.total,
    i.amount_paid,
    i.starting_balance,
    i.ending_balance,
    i.customer,
    coalesce(p.is_recorded, false) as is_recorded,
    count(*) over () as of_all
from invoices as i
left join paid_of as p on i.id = p.invoice
where
    i.status = 'paid'
    and i.created < $cutoff
    and coalesce(i.paid_at, 0) < $cutoff
    and i.payment_intent is null
    and not coalesce(p.is_charged, false)
order by i.amount_paid desc, i.total desc, i.id
limit $most
