-- Grain: one access, written in the month, to no subscription that the mirror knows. In Postgres.
select
    e.id,
    e.subscription_id,
    e.customer_id,
    e.user_id,
    e.has_access,
    e.price_id,
    e.quantity,
    extract(epoch from e.access_ends_at)::bigint as access_ends_at,
    e.mrr_minor,
    e.currency,
    e.written_by,
    extract(epoch from e.written_at)::bigint as written_at
from billing.entitlements as e
left join stripe.subscriptions as s
    on
        e.account_id = s.account_id
        and e.livemode = s.livemode
        and e.subscription_id = s.id
where
    e.account_id = %(account_id)s
    and e.livemode = %(livemode)s
    and e.written_at >= to_timestamp(%(start)s)
    and e.written_at < to_timestamp(%(end)s)
    and e.has_access
    and s.id is null
order by e.id
