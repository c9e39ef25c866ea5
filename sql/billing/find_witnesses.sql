-- Grain: the first object of each of four kinds that Stripe deletes no object of, as far as the mirror
-- knows one alive. Why: a key whose account does not know it is a key of another account.
(
    select 'charge' as object, id
    from stripe.charges
    where account_id = %(account_id)s and livemode = %(livemode)s and deleted_at is null
    order by created_at
    limit 1
)
union all
(
    select 'customer' as object, id
    from stripe.customers
    where account_id = %(account_id)s and livemode = %(livemode)s and deleted_at is null
    order by created_at
    limit 1
)
union all
(
    select 'payment_intent' as object, id
    from stripe.payment_intents
    where account_id = %(account_id)s and livemode = %(livemode)s and deleted_at is null
    order by created_at
    limit 1
)
union all
(
    select 'subscription' as object, id
    from stripe.subscriptions
    where account_id = %(account_id)s and livemode = %(livemode)s and deleted_at is null
    order by created_at
    limit 1
)
