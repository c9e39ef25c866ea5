-- Grain: one object that makes up the payment of an asked charge: the charge itself, its refunds
-- and disputes, and the invoice payments of its payment intent. `charge_id` says which charge.
-- Why lateral and `offset 0`: each key is one index look-up, also while statistics are young.
-- Why the charge's type is a value and not written out: only the primary key fits then.
with asked as (
    select *
    from unnest(
        %(account_ids)b::text [], %(livemodes)b::boolean [], %(objects)b::text [], %(ids)b::text []
    ) as asked (account_id, livemode, object, id)
),

charges as (
    select
        asked.account_id,
        asked.livemode,
        asked.id,
        charge.object,
        charge.api_version,
        charge.payload
    from asked
    cross join lateral (
        select *
        from billing.objects
        where
            objects.account_id = asked.account_id
            and objects.livemode = asked.livemode
            and objects.object = asked.object
            and objects.id = asked.id
        offset 0
    ) as charge
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
    asked.account_id,
    asked.livemode,
    asked.id as charge_id,
    part.object,
    part.api_version,
    part.payload::text as payload
from asked
cross join lateral (
    select *
    from billing.objects
    where
        objects.object in ('refund', 'dispute')
        and objects.account_id = asked.account_id
        and objects.livemode = asked.livemode
        and objects.payload ->> 'charge' = asked.id
    offset 0
) as part

union all

select
    charges.account_id,
    charges.livemode,
    charges.id as charge_id,
    part.object,
    part.api_version,
    part.payload::text as payload
from charges
cross join lateral (
    select *
    from billing.objects
    where
        objects.object = 'invoice_payment'
        and objects.account_id = charges.account_id
        and objects.livemode = charges.livemode
        and objects.payload #>> '{payment,payment_intent}' = charges.payload ->> 'payment_intent'
    offset 0
) as part
