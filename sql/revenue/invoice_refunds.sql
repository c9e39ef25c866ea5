-- Grain: one refund of what one invoice billed for one subscription. In Postgres.
-- A refund belongs to a charge, the charge to invoices by their payments; it takes its share of each
-- invoice that the charge paid. The service is that of the invoice's recurring lines: the longest.
with paid as (
    select distinct
        c.id as charge,
        c.amount_captured,
        coalesce(p.invoice, c.invoice) as invoice,
        coalesce(p.amount_paid, c.amount_captured) as paid_minor
    from stripe.charges as c
    left join stripe.invoice_payments as p
        on
            c.account_id = p.account_id
            and c.livemode = p.livemode
            and p.status = 'paid'
            and (p.charge = c.id or (p.charge is null and p.payment_intent = c.payment_intent))
    where
        c.account_id = %(account_id)s
        and c.livemode = %(livemode)s
        and c.status = 'succeeded'
        and c.amount_captured > 0
        and c.amount_refunded > 0
)

select
    l.subscription,
    extract(epoch from r.created_at)::bigint as refunded_at,
    extract(epoch from max(l.period_end))::bigint as until_at,
    r.amount::numeric * d.paid_minor as share_above,
    d.amount_captured::numeric * i.total as share_below,
    bool_or(
        coalesce(
            q.recurring_interval, l.payload #>> '{price,recurring,interval}', s.recurring_interval
        ) is not distinct from 'year'
    ) as is_yearly
from stripe.refunds as r
inner join paid as d on r.charge = d.charge
inner join stripe.invoices as i
    on r.account_id = i.account_id and r.livemode = i.livemode and d.invoice = i.id
inner join stripe.invoice_line_items as l
    on i.account_id = l.account_id and i.livemode = l.livemode and i.id = l.invoice
left join stripe.prices as q
    on l.account_id = q.account_id and l.livemode = q.livemode and l.price = q.id
left join stripe.subscription_items as s
    on
        l.account_id = s.account_id
        and l.livemode = s.livemode
        and l.subscription = s.subscription
        and l.subscription_item = s.id
where
    r.account_id = %(account_id)s
    and r.livemode = %(livemode)s
    and r.deleted_at is null
    and r.status in ('succeeded', 'pending')
    and l.deleted_at is null
    and i.deleted_at is null
    and i.total > 0
    and l.subscription is not null
    and l.is_proration is not true
    and l.period_end > r.created_at
group by l.subscription, r.id, r.created_at, r.amount, d.paid_minor, d.amount_captured, i.id, i.total
order by l.subscription, r.created_at, r.id, i.id
