-- Grain of the result: none. Rejected calls that are rejected again, with what is wrong now.
update events.dead_letters
set reason = again.reason
from unnest(%(ids)s::bigint [], %(reasons)s::text []) as again (dead_letter_id, reason)
where dead_letters.dead_letter_id = again.dead_letter_id and dead_letters.reason <> again.reason
