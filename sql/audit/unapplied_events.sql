-- Grain: one event of an account and mode that waits or was set aside, the newest first; what it
-- speaks of is only known from its body, because nobody has applied it. Runs in Postgres.
select
    event_id,
    type,
    state,
    reason,
    created_at,
    received_at,
    source,
    body
from billing.inbox
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and state in ('received', 'quarantined')
order by received_at desc, event_id desc
limit %(limit)s
