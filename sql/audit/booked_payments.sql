-- Grain: one booked payment that the books give to [start, end) in a scope, whoever wrote it.
-- Runs in Postgres.
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
