-- Grain: one event of a span of time that waits in quarantine because of its API version.
-- Runs in Postgres.
select
    event_id,
    type,
    api_version,
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
    and state = 'quarantined'
    and reason like 'unknown\_version:%%'
    and created_at >= %(start)s
    and created_at < %(end)s
order by created_at, event_id
