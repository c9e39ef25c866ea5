-- Grain: one entry of stripe.subscription_items whose subscription is gone: it counts no more either.
update stripe.subscription_items as entry
set
    deleted_at = parent.deleted_at,
    applied_at = %(now)s
from unnest(
    %(account_ids)b::text [],
    %(livemodes)b::boolean [],
    %(objects)b::text [],
    %(ids)b::text [],
    %(deleted_ats)b::timestamptz []
) as parent (account_id, livemode, object, id, deleted_at)
where
    parent.object = 'subscription'
    and entry.account_id = parent.account_id
    and entry.livemode = parent.livemode
    and entry.subscription = parent.id
    and entry.deleted_at is null
