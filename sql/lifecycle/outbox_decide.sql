-- What a person decided about a message of which nobody can tell.
update lifecycle.outbox
set
    state = %(state)s,
    reason = %(reason)s,
    attempts = 0,
    called_at = case when %(state)s = 'sent' then called_at end,
    sent_at = case when %(state)s = 'sent' then coalesce(sent_at, clock_timestamp()) end
where message_id = %(message_id)s and state in ('parked', 'unknown')
