-- Grain: one object that Stripe must be asked about. One that waits already waits on, until the
-- latest doubt can be settled, and longer after each answer that did not settle it (up to an hour);
-- whoever asks just now asks again.
insert into billing.refetches as waiting (
    account_id, livemode, object, id, reason, queued_at, due_at
)
select
    new.account_id,
    new.livemode,
    new.object,
    new.id,
    new.reason,
    %(now)s as queued_at,
    new.due_at
from unnest(
    %(account_ids)b::text [],
    %(livemodes)b::boolean [],
    %(objects)b::text [],
    %(ids)b::text [],
    %(reasons)b::text [],
    %(due_ats)b::timestamptz []
) as new (account_id, livemode, object, id, reason, due_at)
order by new.account_id, new.livemode, new.object, new.id
on conflict (account_id, livemode, object, id) do update set
reason = case waiting.reason when 'thin_event' then waiting.reason else excluded.reason end,
due_at = greatest(
    waiting.due_at,
    excluded.due_at,
    case
        when waiting.claim is not null
            then
                %(now)s::timestamptz
                + make_interval(secs => least(3600, 2 ^ least(waiting.attempts, 12)))
    end
),
claimed_until = null,
claim = null
