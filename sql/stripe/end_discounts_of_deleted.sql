-- Grain: one discount of an object that is gone: it counts no more either.
update stripe.discounts as entry
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
    entry.account_id = parent.account_id
    and entry.livemode = parent.livemode
    and entry.parent_object = parent.object
    and entry.parent_id = parent.id
    and entry.deleted_at is null
