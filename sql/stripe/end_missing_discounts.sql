-- Grain: one discount that the newest state of the object it lies in no longer lists.
-- Why here: events of discounts say less than the object that bears them.
update stripe.discounts as entry
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
    and entry.parent_object = parent.object
    and entry.parent_id = parent.id
    and entry.deleted_at is null
    and not parent.shown::jsonb ? (entry.owner_id || ' ' || entry.id)
