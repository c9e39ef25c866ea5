-- Grain: one message of asked users that counts for the cap: when it went out. What may still go out
-- counts as long as nobody knows, however old it is.
select
    user_number,
    case
        when state in ('pending', 'sending', 'unknown')
            then greatest(due_at, %(since)s::timestamptz + interval '1 hour')
        else coalesce(called_at, sent_at, due_at)
    end as counts_at
from lifecycle.outbox
where
    user_number = any(%(users)s::int [])
    and state <> 'skipped'
    and (state in ('pending', 'sending', 'unknown') or coalesce(called_at, sent_at, due_at) > %(since)s)
order by user_number, counts_at
