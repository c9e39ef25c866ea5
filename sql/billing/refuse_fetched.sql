-- Grain: one fetched state that the mirror cannot use, with the reason.
update billing.fetched_states as known
set refused = bad.reason
from unnest(
    %(account_ids)b::text [],
    %(livemodes)b::boolean [],
    %(objects)b::text [],
    %(ids)b::text [],
    %(fingerprints)b::bytea [],
    %(reasons)b::text []
) as bad (account_id, livemode, object, id, fingerprint, reason)
where
    known.account_id = bad.account_id
    and known.livemode = bad.livemode
    and known.object = bad.object
    and known.id = bad.id
    and known.fingerprint = bad.fingerprint
