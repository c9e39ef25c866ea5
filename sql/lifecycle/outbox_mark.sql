-- What became of a claimed message. Only sent, unknown and parked ones may have been called.
update lifecycle.outbox
set
    state = %(state)s,
    reason = %(reason)s,
    due_at = case when %(state)s = 'pending' then clock_timestamp() + %(wait)s::interval else due_at end,
    called_at = case when %(state)s in ('pending', 'skipped') then null else called_at end,
    absent_at = null,
    sent_at = case when %(state)s = 'sent' then clock_timestamp() end
where message_id = %(message_id)s and claimed_at = %(claimed_at)s and state in ('sending', 'unknown')
