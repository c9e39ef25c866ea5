-- Grain: one object with its newest state. The fold decided which one that is, so it replaces.
insert into billing.objects (
    account_id, livemode, object, id, api_version, payload, created_at, state_from, state_at,
    origin, event_id, undecided, deleted_at, applied_at
)
select
    new.account_id,
    new.livemode,
    new.object,
    new.id,
    new.api_version,
    new.payload::jsonb,
    new.created_at,
    new.state_from,
    new.state_at,
    new.origin,
    new.event_id,
    new.undecided,
    new.deleted_at,
    %(now)s
from unnest(
    %(account_ids)b::text [],
    %(livemodes)b::boolean [],
    %(objects)b::text [],
    %(ids)b::text [],
    %(api_versions)b::text [],
    %(payloads)b::text [],
    %(created_ats)b::timestamptz [],
    %(state_froms)b::timestamptz [],
    %(state_ats)b::timestamptz [],
    %(origins)b::text [],
    %(event_ids)b::text [],
    %(undecideds)b::boolean [],
    %(deleted_ats)b::timestamptz []
)
    as new (
        account_id, livemode, object, id, api_version, payload, created_at, state_from, state_at,
        origin, event_id, undecided, deleted_at
    )
order by new.account_id, new.livemode, new.object, new.id
on conflict (account_id, livemode, object, id) do update set
api_version = excluded.api_version,
payload = excluded.payload,
created_at = excluded.created_at,
state_from = excluded.state_from,
state_at = excluded.state_at,
origin = excluded.origin,
event_id = excluded.event_id,
undecided = excluded.undecided,
deleted_at = excluded.deleted_at,
applied_at = excluded.applied_at
