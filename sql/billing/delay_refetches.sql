-- Grain: one object without a usable answer, with the reason; it is asked about later. Each attempt
-- doubles the wait, up to an hour; one that was not asked about had no attempt.
update billing.refetches as waiting
set
    claim = null,
    claimed_until = null,
    attempts = waiting.attempts - case when %(was_asked)s then 0 else 1 end,
    due_at = %(now)s::timestamptz + make_interval(
        secs => least(
            3600,
            %(seconds)s
            * case when %(was_asked)s then 2 ^ least(greatest(waiting.attempts - 1, 0), 12) else 1 end
        )
    ),
    last_error = coalesce(failed.reason, waiting.last_error)
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
