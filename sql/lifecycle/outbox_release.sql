-- Kit could not tell now; somebody looks again later.
update lifecycle.outbox
set reason = 'Kit could not tell'
where message_id = %(message_id)s and claimed_at = %(claimed_at)s and state = 'unknown'
