-- Grain: one charge of an asked payment intent. An intent has several after failed attempts.
select
    charge.account_id,
    charge.livemode,
    charge.id
from unnest(%(account_ids)b::text [], %(livemodes)b::boolean [], %(intents)b::text [])
    as asked (account_id, livemode, intent)
inner join billing.objects as charge
    on
        asked.account_id = charge.account_id
        and asked.livemode = charge.livemode
        and charge.payload ->> 'payment_intent' = asked.intent
where charge.object = 'charge'
