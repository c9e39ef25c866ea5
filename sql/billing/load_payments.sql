-- Grain: one payment that the mirror booked, of the asked charges; charges without one are absent.
select
    payments.account_id,
    payments.livemode,
    payments.charge_id,
    payments.payment_intent_id,
    payments.invoice_id,
    payments.customer_id,
    payments.status,
    payments.captured,
    payments.currency,
    payments.amount_minor,
    payments.refunded_minor,
    payments.disputed_minor,
    payments.fee_minor,
    payments.net_minor,
    payments.settlement_currency,
    payments.created_at
from
    unnest(%(account_ids)b::text [], %(livemodes)b::boolean [], %(charge_ids)b::text [])
    as asked (account_id, livemode, charge_id)
inner join billing.payments
    on
        asked.account_id = payments.account_id
        and asked.livemode = payments.livemode
        and asked.charge_id = payments.charge_id
        and payments.written_by = 'mirror'
