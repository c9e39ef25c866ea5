-- Grain: one quarantined event, newest first: what a person reads before replaying.
select
    account_id,
    livemode,
    event_id,
    type,
    api_version,
    created_at,
    received_at,
    reason
from billing.inbox
where state = 'quarantined'
order by received_at desc, event_id
limit %(limit)s
