-- Grain: one event that waits, oldest first, after a given one (none: from the beginning).
-- No row lock: whoever applies holds the mirror's turn, so nobody else takes the same event.
select
    account_id,
    livemode,
    event_id,
    created_at,
    body
from billing.inbox
where
    state = 'received'
    and (
        %(after_created_at)s::timestamptz is null
        or (created_at, event_id) > (%(after_created_at)s, %(after_event_id)s::text)
    )
order by created_at, event_id
limit %(limit)s
