-- Grain: one booked payment of another month that repeats a payment of [start, end). In Postgres.
-- Why: a duplicate in another month would pass as that month's money. The mirror writes at most one
-- row a charge, so of two rows one is not the mirror's: that keeps the search small.
with foreign_rows as (
    select *
    from billing.payments
    where
        account_id = %(account_id)s
        and livemode = %(livemode)s
        and written_by <> 'mirror'
),

elsewhere as (
    select other.payment_id
    from foreign_rows as other
    join billing.payments as here
        on
            other.account_id = here.account_id
            and other.livemode = here.livemode
            and other.charge_id = here.charge_id
    where
        (other.created_at < %(start)s or other.created_at >= %(end)s)
        and here.created_at >= %(start)s
        and here.created_at < %(end)s
    union
    select other.payment_id
    from foreign_rows as here
    join billing.payments as other
        on
            here.account_id = other.account_id
            and here.livemode = other.livemode
            and here.charge_id = other.charge_id
    where
        (other.created_at < %(start)s or other.created_at >= %(end)s)
        and here.created_at >= %(start)s
        and here.created_at < %(end)s
    union
    select other.payment_id
    from foreign_rows as other
    join billing.payments as here
        on
            other.account_id = here.account_id
            and other.livemode = here.livemode
            and other.payment_intent_id = here.payment_intent_id
    where
        other.charge_id is null
        and (other.created_at < %(start)s or other.created_at >= %(end)s)
        and here.created_at >= %(start)s
        and here.created_at < %(end)s
    union
    select other.payment_id
    from foreign_rows as other
    join billing.payments as here
        on
            other.account_id = here.account_id
            and other.livemode = here.livemode
            and other.invoice_payment_id = here.invoice_payment_id
    where
        other.charge_id is null
        and other.payment_intent_id is null
        and (other.created_at < %(start)s or other.created_at >= %(end)s)
        and here.created_at >= %(start)s
        and here.created_at < %(end)s
    union
    select other.payment_id
    from foreign_rows as other
    join billing.payments as here
        on
            other.account_id = here.account_id
            and other.livemode = here.livemode
            and other.invoice_id = here.invoice_id
    where
        other.charge_id is null
        and other.payment_intent_id is null
        and other.invoice_payment_id is null
        and (other.created_at < %(start)s or other.created_at >= %(end)s)
        and here.created_at >= %(start)s
        and here.created_at < %(end)s
)

select
    p.payment_id,
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
    floor(extract(epoch from p.written_at))::int8 as written,
    false as in_month,
    coalesce(p.charge_id, p.payment_intent_id, p.invoice_payment_id, p.invoice_id) as match_id
from billing.payments as p
join elsewhere as e on p.payment_id = e.payment_id
