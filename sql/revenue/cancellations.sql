-- Grain: one subscription of the mirror that was told to end, by when (canceled_at), before as_of. In
-- Postgres.
select
    account_id,
    id as subscription_id,
    (extract(epoch from canceled_at) * 1000000)::int8 as at_us
from stripe.subscriptions
where
    livemode = %(livemode)s
    and account_id = any(%(accounts)s::text [])
    and canceled_at < %(as_of)s
