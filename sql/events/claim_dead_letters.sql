-- Grain: one rejected call that waits, in the order of arrival, after a position; locked for who reads it again.
select
    dead_letter_id,
    source_id,
    key_id,
    is_typed,
    received_at,
    sent_at,
    body
from events.dead_letters
where
    replayed_at is null
    and dead_letter_id > %(after)s
    and (%(dead_letter_id)s::bigint is null or dead_letter_id = %(dead_letter_id)s)
    and (%(reason)s::text is null or split_part(reason, ':', 1) = %(reason)s)
order by dead_letter_id
limit %(limit)s
for update
