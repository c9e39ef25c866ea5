-- Grain: one booked payment, in whatever scope and month, that is matched by one of the ids: charge
-- id, else payment intent, else invoice payment, else invoice. Runs in Postgres.
-- Why the walk over scopes: an index that begins with the scope then serves ids without one.
with recursive scopes as (
    (
        select
            account_id,
            livemode
        from billing.payments
        order by account_id, livemode
        limit 1
    )
    union all
    select
        following.account_id,
        following.livemode
    from scopes
    cross join lateral (
        select
            p.account_id,
            p.livemode
        from billing.payments as p
        where (p.account_id, p.livemode) > (scopes.account_id, scopes.livemode)
        order by p.account_id, p.livemode
        limit 1
    ) as following
)

select
    p.payment_id,
    p.account_id,
    p.livemode,
    p.charge_id,
    p.payment_intent_id,
    p.invoice_payment_id,
    p.invoice_id,
    p.customer_id,
    p.status,
    p.captured,
    p.currency,
    p.amount_minor,
    p.refunded_minor,
    p.disputed_minor,
    p.fee_minor,
    p.net_minor,
    p.settlement_currency,
    floor(extract(epoch from p.created_at))::int8 as created,
    p.written_by,
    floor(extract(epoch from p.written_at))::int8 as written
from scopes
inner join billing.payments as p
    on scopes.account_id = p.account_id and scopes.livemode = p.livemode
where
    p.charge_id = any(%(charges)s::text [])
    or (p.charge_id is null and p.payment_intent_id = any(%(payment_intents)s::text []))
    or (
        p.charge_id is null
        and p.payment_intent_id is null
        and p.invoice_payment_id = any(%(invoice_payments)s::text [])
    )
    or (
        p.charge_id is null
        and p.payment_intent_id is null
        and p.invoice_payment_id is null
        and p.invoice_id = any(%(invoices)s::text [])
    )
