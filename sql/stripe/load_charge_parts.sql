-- Grain: one object that makes up the payment of an asked charge: the charge itself, its balance
-- transaction, its refunds and disputes, and the invoice payments of its payment intent or of itself.
-- `charge_id` says which charge.
-- Why lateral and `offset 0`: each key is one index look-up, also while statistics are young.
with asked as (
    select *
    from unnest(%(account_ids)b::text [], %(livemodes)b::boolean [], %(ids)b::text [])
        as asked (account_id, livemode, id)
),

charges as (
    select charge.*
    from asked
    cross join lateral (
        select *
        from stripe.charges
        where
            charges.account_id = asked.account_id
            and charges.livemode = asked.livemode
            and charges.id = asked.id
        offset 0
    ) as charge
)

select
    account_id,
    livemode,
    id as charge_id,
    'charge' as object,
    api_version,
    payload::text as payload
from charges

union all

select
    charges.account_id,
    charges.livemode,
    charges.id as charge_id,
    'balance_transaction' as object,
    part.api_version,
    part.payload::text as payload
from charges
cross join lateral (
    select *
    from stripe.balance_transactions as balance
    where
        balance.account_id = charges.account_id
        and balance.livemode = charges.livemode
        and balance.id = charges.balance_transaction
    offset 0
) as part

union all

select
    asked.account_id,
    asked.livemode,
    asked.id as charge_id,
    'refund' as object,
    part.api_version,
    part.payload::text as payload
from asked
cross join lateral (
    select *
    from stripe.refunds
    where
        refunds.account_id = asked.account_id
        and refunds.livemode = asked.livemode
        and refunds.charge = asked.id
    offset 0
) as part

union all

select
    asked.account_id,
    asked.livemode,
    asked.id as charge_id,
    'dispute' as object,
    part.api_version,
    part.payload::text as payload
from asked
cross join lateral (
    select *
    from stripe.disputes
    where
        disputes.account_id = asked.account_id
        and disputes.livemode = asked.livemode
        and disputes.charge = asked.id
    offset 0
) as part

union all

select
    charges.account_id,
    charges.livemode,
    charges.id as charge_id,
    'invoice_payment' as object,
    part.api_version,
    part.payload::text as payload
from charges
cross join lateral (
    select *
    from stripe.invoice_payments as payment
    where
        payment.account_id = charges.account_id
        and payment.livemode = charges.livemode
        and payment.payment_intent = charges.payment_intent
    offset 0
) as part

union all

select
    asked.account_id,
    asked.livemode,
    asked.id as charge_id,
    'invoice_payment' as object,
    part.api_version,
    part.payload::text as payload
from asked
cross join lateral (
    select *
    from stripe.invoice_payments as payment
    where
        payment.account_id = asked.account_id
        and payment.livemode = asked.livemode
        and payment.charge = asked.id
    offset 0
) as part
