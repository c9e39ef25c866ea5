-- Grain: one state of an asked object that the ledger holds, by event or fetched, that lasted to a
-- given instant or beyond; a fetched one the first and the last time it was shown. The states that
-- the mirror could not use are left out, and what was not applied or fetched by the instant `known`, if
-- there is one.
-- Why: states of one instant are ordered by looking at all of them, not only at the last that won.
-- Why lateral and `offset 0`: each key is one index look-up, also while statistics are young.
select
    asked.account_id,
    asked.livemode,
    asked.object,
    asked.id,
    told.body,
    told.api_version,
    told.state_from,
    told.state_at,
    told.event_id,
    told.gone
from unnest(
    %(account_ids)b::text [],
    %(livemodes)b::boolean [],
    %(objects)b::text [],
    %(ids)b::text [],
    %(since)b::timestamptz []
) as asked (account_id, livemode, object, id, since)
cross join lateral (
    select
        inbox.body,
        inbox.api_version,
        inbox.created_at as state_from,
        inbox.created_at as state_at,
        inbox.event_id,
        false as gone
    from billing.inbox
    where
        inbox.account_id = asked.account_id
        and inbox.livemode = asked.livemode
        and inbox.object = asked.object
        and inbox.object_id = asked.id
        and inbox.created_at >= asked.since
        and inbox.state = 'applied'
        and (%(known)b::timestamptz is null or inbox.applied_at <= %(known)b)
    union all
    select
        fetched.body,
        fetched.api_version,
        sighting.state_from,
        sighting.state_at,
        null as event_id,
        fetched.gone
    from billing.fetched_states as fetched
    cross join lateral (
        select
            fetched.first_from as state_from,
            fetched.first_at as state_at
        union
        select
            fetched.state_from,
            fetched.state_at
    ) as sighting
    where
        fetched.account_id = asked.account_id
        and fetched.livemode = asked.livemode
        and fetched.object = asked.object
        and fetched.id = asked.id
        and sighting.state_at >= asked.since
        and fetched.refused is null
        and (
            %(known)b::timestamptz is null
            or (fetched.stored_at <= %(known)b and sighting.state_at <= %(known)b)
        )
    offset 0
) as told
