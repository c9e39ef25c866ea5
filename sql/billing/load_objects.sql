-- Grain: one known object of the asked keys; objects the mirror does not know are absent.
-- Why lateral and `offset 0`: each key is one index look-up, also while statistics are young.
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
cross join lateral (
    select *
    from billing.objects
    where
        objects.account_id = asked.account_id
        and objects.livemode = asked.livemode
        and objects.object = asked.object
        and objects.id = asked.id
    offset 0
) as stored
