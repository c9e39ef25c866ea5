-- The most important message that is due, now being sent.
with due as (
    select message_id
    from lifecycle.outbox
    where state = 'pending' and due_at <= clock_timestamp() and late_at >= clock_timestamp()
        and (quiet_at is null or quiet_at > clock_timestamp())
    order by priority desc, due_at, message_id
    limit 1
    for update skip locked
)

update lifecycle.outbox as o
set
    state = 'sending',
    claimed_at = clock_timestamp(),
    called_at = null,
    absent_at = null
from due
where o.message_id = due.message_id
returning o.message_id, o.user_number, o.message, o.action, o.target, o.basis, o.attempts, o.claimed_at, o.kit_id
