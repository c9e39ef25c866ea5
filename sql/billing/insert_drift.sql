-- Grain: one object that differed in this re-list. Why before the repair: a repair that fails or is
-- killed must leave the difference on record.
insert into billing.drift
(account_id, livemode, object, id, found_at, reason, difference, fields)
select
    drift.account_id,
    drift.livemode,
    drift.object,
    drift.id,
    %(found_at)s,
    %(reason)s,
    drift.difference,
    coalesce(string_to_array(nullif(drift.fields, ''), ' '), '{}')
from unnest(
    %(account_ids)s::text [],
    %(livemodes)s::boolean [],
    %(objects)s::text [],
    %(ids)s::text [],
    %(differences)s::text [],
    %(fields)s::text []
) as drift (account_id, livemode, object, id, difference, fields)
on conflict (account_id, livemode, object, id, found_at) do nothing
