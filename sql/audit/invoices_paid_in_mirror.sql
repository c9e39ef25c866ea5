-- Grain: one mirrored invoice created in [start, end) with what its mirrored payments add up to;
-- null where the mirror knows no payment of it, or not whether it is paid. Runs in Postgres.
select
    i.id,
    i.amount_paid,
    case when i.status = 'paid' then sum(p.amount_paid) filter (where p.status = 'paid') end::int8
        as paid_minor,
    i.status = 'paid' as is_paid
from stripe.invoices as i
left join stripe.invoice_payments as p
    on i.account_id = p.account_id and i.livemode = p.livemode and i.id = p.invoice
where
    i.account_id = %(account_id)s
    and i.livemode = %(livemode)s
    and i.created_at >= %(start)s
    and i.created_at < %(end)s
group by i.account_id, i.livemode, i.id
