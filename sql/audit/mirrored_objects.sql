-- Grain: one mirrored Stripe object of the asked (object, id) pairs, in whatever scope. In Postgres.
-- Why the walk over scopes: the key begins with the scope, and a leak hides in another one.
-- Why lateral and `offset 0`: each key is one index look-up, also while statistics are young.
with recursive scopes as (
    (
        select
            account_id,
            livemode
        from stripe.objects
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
            o.account_id,
            o.livemode
        from stripe.objects as o
        where (o.account_id, o.livemode) > (scopes.account_id, scopes.livemode)
        order by o.account_id, o.livemode
        limit 1
    ) as following
),

asked as (
    select *
    from unnest(%(objects)s::text [], %(ids)s::text []) as asked (object, id)
)

select
    o.account_id,
    o.livemode,
    o.object,
    o.id,
    o.event_id,
    o.state_at,
    o.payload ->> 'status' as status,
    o.payload ->> 'amount' as amount,
    o.payload ->> 'amount_captured' as amount_captured,
    -- Typed: API versions before basil count the uncaptured rest into the payload's sum.
    case
        when o.object = 'charge'
            then (
                select charges.amount_refunded::text
                from stripe.charges
                where
                    charges.account_id = o.account_id
                    and charges.livemode = o.livemode
                    and charges.id = o.id
            )
    end as amount_refunded,
    o.payload ->> 'amount_paid' as amount_paid,
    o.payload ->> 'currency' as currency
from scopes
cross join asked
cross join lateral (
    select *
    from stripe.objects
    where
        objects.account_id = scopes.account_id
        and objects.livemode = scopes.livemode
        and objects.object = asked.object
        and objects.id = asked.id
    offset 0
) as o
