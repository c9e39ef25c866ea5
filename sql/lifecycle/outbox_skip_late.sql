-- Messages that nobody wants any more.
update lifecycle.outbox
set
    state = 'skipped',
    reason = 'too_late'
where state = 'pending' and late_at < clock_timestamp()
