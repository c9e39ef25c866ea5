-- Grain: one entry of stripe.subscription_items that the newest state of its subscription no longer lists.
-- Why here: Stripe tells such an end by no event of its own, only by a shorter list.
update stripe.subscription_items as entry
set
    deleted_at = parent.state_at,
    applied_at = %(now)s
from unnest(
    %(account_ids)b::text [],
    %(livemodes)b::boolean [],
    %(objects)b::text [],
    %(ids)b::text [],
    %(state_ats)b::timestamptz [],
    %(shown)b::text []
) as parent (account_id, livemode, object, id, state_at, shown)
where
    entry.account_id = parent.account_id
    and entry.livemode = parent.livemode
    and entry.subscription = parent.id
    and entry.deleted_at is null
    and not parent.shown::jsonb ? entry.id
