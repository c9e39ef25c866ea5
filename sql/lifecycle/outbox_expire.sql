-- Claims of senders that died. One that holds its row right now is alive, however slow.
with dead as (
    select message_id
    from lifecycle.outbox
    where state = 'sending' and claimed_at < clock_timestamp() - %(lease)s::interval
    for update skip locked
)

update lifecycle.outbox as o
set
    state = case when o.called_at is null then 'pending' else 'unknown' end,
    reason = 'its sender died',
    absent_at = null
from dead
where o.message_id = dead.message_id
