-- Grain: one row of the application about the asked subscriptions. Runs in Postgres.
select
    id,
    subscription_id,
    customer_id,
    user_id,
    has_access,
    price_id,
    quantity,
    extract(epoch from access_ends_at)::bigint as access_ends_at,
    mrr_minor,
    currency,
    written_by,
    extract(epoch from written_at)::bigint as written_at
from billing.entitlements
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and subscription_id = any(%(ids)s::text [])
