-- Grain: one event that tells of a discount of a customer or a subscription, in the order in which they
-- happened; what came to be known after an instant, or up to one. In Postgres.
-- Why: subscriptions name their discounts by id; who gives a coupon, and until when, these events tell.
select
    body,
    extract(epoch from created_at)::bigint as happened_at,
    type = 'customer.discount.deleted' as is_end
from billing.inbox
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and type like 'customer.discount.%%'
    and state = 'ignored'
    and (%(since)s::timestamptz is null or applied_at > %(since)s)
    and (%(known_at)s::timestamptz is null or applied_at <= %(known_at)s)
order by created_at, event_id
