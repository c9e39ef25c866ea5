-- Grain: one booked payment that the books give to [start, end) in a scope, whoever wrote it.
-- `match_id` of rows without a charge id may become a charge later. Instants in Unix seconds.
-- Runs in Postgres.
select
    payment_id,
    charge_id,
    payment_intent_id,
    invoice_payment_id,
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
    floor(extract(epoch from created_at))::int8 as created,
    written_by,
    floor(extract(epoch from written_at))::int8 as written,
    true as in_month,
    coalesce(charge_id, payment_intent_id, invoice_payment_id, invoice_id) as match_id
from billing.payments
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and created_at >= %(start)s
    and created_at < %(end)s
