-- A message of unknown outcome whose call can take no effect any more that is not seen yet. Taken by
-- one reader at a time: claimed_at says when somebody looked last.
with ready as (
    select message_id
    from lifecycle.outbox
    where
        state = 'unknown'
        and called_at <= clock_timestamp() - %(settle)s::interval
        and coalesce(absent_at, '-infinity') <= clock_timestamp() - %(settle)s::interval
        and claimed_at <= clock_timestamp() - least(%(settle)s::interval, interval '1 minute')
    order by claimed_at, message_id
    limit 1
    for update skip locked
)

update lifecycle.outbox as o
set claimed_at = clock_timestamp()
from ready
where o.message_id = ready.message_id
returning
    o.message_id,
    o.user_number,
    o.message,
    o.action,
    o.target,
    o.basis,
    o.attempts,
    o.claimed_at,
    o.kit_id,
    o.absent_at is not null as absent,
    o.called_at < clock_timestamp() - %(old)s::interval as is_old
