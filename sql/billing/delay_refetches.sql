-- Grain: one object that Stripe could not be asked about, with the reason; it is asked later.
update billing.refetches as waiting
set
    claim = null,
    claimed_until = null,
    due_at = %(due_at)s,
    last_error = failed.reason
from unnest(
    %(account_ids)b::text [],
    %(livemodes)b::boolean [],
    %(objects)b::text [],
    %(ids)b::text [],
    %(reasons)b::text []
) as failed (account_id, livemode, object, id, reason)
where
    waiting.account_id = failed.account_id
    and waiting.livemode = failed.livemode
    and waiting.object = failed.object
    and waiting.id = failed.id
    and waiting.claim = %(claim)s
