-- A call is about to be made for a claimed message: from here on its outcome may be unknown.
update lifecycle.outbox
set
    called_at = clock_timestamp(),
    kit_id = %(kit_id)s,
    attempts = attempts + 1
where message_id = %(message_id)s and state = 'sending' and claimed_at = %(claimed_at)s
