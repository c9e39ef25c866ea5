-- Grain: one known object of the asked keys; objects the mirror does not know are absent.
select
    stored.account_id,
    stored.livemode,
    stored.object,
    stored.id,
    stored.payload::text as payload,
    stored.api_version,
    stored.state_from,
    stored.state_at,
    stored.origin,
    stored.event_id,
    stored.undecided,
    stored.deleted_at
from unnest(
    %(account_ids)b::text [], %(livemodes)b::boolean [], %(objects)b::text [], %(ids)b::text []
) as asked (account_id, livemode, object, id)
inner join billing.objects as stored
    on
        asked.account_id = stored.account_id
        and asked.livemode = stored.livemode
        and asked.object = stored.object
        and asked.id = stored.id
