-- Grain: one thin event whose object was fetched since: it did what the fetch did.
update billing.inbox
set effect = 'updated'
from unnest(
    %(account_ids)b::text [], %(livemodes)b::boolean [], %(objects)b::text [], %(ids)b::text []
) as fetched (account_id, livemode, object, id)
where
    inbox.account_id = fetched.account_id
    and inbox.livemode = fetched.livemode
    and inbox.object = fetched.object
    and inbox.object_id = fetched.id
    and inbox.effect = 'fetching'
