-- Grain: one booked payment of a scope created in [start, end), whoever wrote it, in a fixed order.
select
    payment_id,
    charge_id,
    payment_intent_id,
    invoice_id,
    customer_id,
    status,
    captured,
    currency,
    amount_minor,
    refunded_minor,
    disputed_minor,
    fee_minor,
    net_minor,
    settlement_currency,
    created_at,
    written_by,
    written_at
from billing.payments
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and created_at >= %(start)s
    and created_at < %(end)s
order by created_at, charge_id, payment_id
