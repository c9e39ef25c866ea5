-- Messages that wait: due when the quiet time that has begun is over, and not in the next one.
update lifecycle.outbox as o
set
    due_at = coalesce(t.due_at, o.due_at),
    quiet_at = t.quiet_at
from
    unnest(%(messages)s::bigint [], %(due_at)s::timestamptz [], %(quiet_at)s::timestamptz [])
        as t (message_id, due_at, quiet_at)
where o.message_id = t.message_id and o.state = 'pending'
