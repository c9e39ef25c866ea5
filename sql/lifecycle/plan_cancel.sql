-- Messages that wait for a journey that is over for this user.
update lifecycle.outbox
set
    state = 'skipped',
    reason = 'journey_ended'
where user_key = %(user_key)s and journey = %(journey)s and state = 'pending'
