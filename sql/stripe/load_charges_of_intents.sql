-- Grain: one charge of an asked payment intent. An intent has several after failed attempts.
-- Why lateral and `offset 0`: each key is one index look-up, also while statistics are young.
select
    asked.account_id,
    asked.livemode,
    charge.id
from unnest(%(account_ids)b::text [], %(livemodes)b::boolean [], %(intents)b::text [])
    as asked (account_id, livemode, intent)
cross join lateral (
    select charges.id
    from stripe.charges
    where
        charges.account_id = asked.account_id
        and charges.livemode = asked.livemode
        and charges.payment_intent = asked.intent
    offset 0
) as charge
