-- Grain: one object that makes up the payment of an asked charge: the charge itself, its refunds
-- and disputes, and the invoice payments of its payment intent. `charge_id` says which charge.
with asked as (
    select *
    from unnest(%(account_ids)b::text [], %(livemodes)b::boolean [], %(ids)b::text [])
        as asked (account_id, livemode, id)
),

charges as (
    select charge.*
    from asked
    inner join billing.objects as charge
        on
            asked.account_id = charge.account_id
            and asked.livemode = charge.livemode
            and asked.id = charge.id
    where charge.object = 'charge'
)

select
    account_id,
    livemode,
    id as charge_id,
    object,
    api_version,
    payload::text as payload
from charges

union all

select
    part.account_id,
    part.livemode,
    asked.id as charge_id,
    part.object,
    part.api_version,
    part.payload::text as payload
from asked
inner join billing.objects as part
    on
        asked.account_id = part.account_id
        and asked.livemode = part.livemode
        and part.payload ->> 'charge' = asked.id
where part.object in ('refund', 'dispute')

union all

select
    part.account_id,
    part.livemode,
    charges.id as charge_id,
    part.object,
    part.api_version,
    part.payload::text as payload
from charges
inner join billing.objects as part
    on
        charges.account_id = part.account_id
        and charges.livemode = part.livemode
        and part.payload #>> '{payment,payment_intent}' = charges.payload ->> 'payment_intent'
where part.object = 'invoice_payment'
