-- Grain: one API version that no adapter knows, with its events that wait in quarantine.
select
    coalesce(api_version, '') as api_version,
    count(*) as events,
    min(event_id) as example,
    max(received_at) as last_received_at
from billing.inbox
where state = 'quarantined' and reason like 'unknown\_version:%%'
group by coalesce(api_version, '')
order by 1
