-- Kit was read and does not have it; it is read once more before that counts.
update lifecycle.outbox
set absent_at = clock_timestamp()
where message_id = %(message_id)s and claimed_at = %(claimed_at)s and state = 'unknown'
