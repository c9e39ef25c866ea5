-- Grain: one booked payment of a scope, created in [start, end) by the books, whoever wrote it; and
-- rows of other months that repeat a payment of these. Runs in Postgres.
-- Why the second part: a duplicate in another month would pass as money of that month. At most one
-- row of a charge is the mirror's own, so one of the two is not: that keeps the search small.
with of_month as (
    select *
    from billing.payments
    where
        account_id = %(account_id)s
        and livemode = %(livemode)s
        and created_at >= %(start)s
        and created_at < %(end)s
),

elsewhere as (
    select other.*
    from billing.payments as other
    where
        other.account_id = %(account_id)s
        and other.livemode = %(livemode)s
        and (other.created_at < %(start)s or other.created_at >= %(end)s)
        and exists (
            select 1
            from of_month
            where
                of_month.charge_id = other.charge_id
                and (of_month.written_by <> 'mirror' or other.written_by <> 'mirror')
        )
)

select
    payment_id,
    account_id,
    livemode,
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
    extract(epoch from created_at)::int8 as created,
    written_by,
    (extract(epoch from written_at) * 1000000)::int8 as written_us,
    true as in_month
from of_month
union all
select
    payment_id,
    account_id,
    livemode,
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
    extract(epoch from created_at)::int8 as created,
    written_by,
    (extract(epoch from written_at) * 1000000)::int8 as written_us,
    false as in_month
from elsewhere
