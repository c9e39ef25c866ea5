-- Grain: one discount of the asked subscriptions, or a running one of their customers. In Postgres.
select
    parent_object,
    parent_id,
    id,
    coupon,
    extract(epoch from starts_at)::bigint as starts_at,
    extract(epoch from ends_at)::bigint as ends_at
from stripe.discounts
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and (
        (parent_object = 'subscription' and parent_id = any(%(ids)s::text []))
        or (
            parent_object = 'customer'
            and parent_id = any(%(customers)s::text [])
            and deleted_at is null
        )
    )
order by parent_object, parent_id, id
