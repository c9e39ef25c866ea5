-- Grain of the result: none. Rejected calls that are events now.
update events.dead_letters
set replayed_at = %(now)s
where dead_letter_id = any(%(ids)s::bigint [])
