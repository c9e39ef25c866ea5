-- Grain: one billing event received in a span, in the order of receipt. Runs in Postgres.
select
    message_id,
    event,
    user_id,
    occurred_at,
    properties,
    not flags && array['clock_wrong', 'timestamp_unreadable'] as has_time
from events.events
where
    type = 'track'
    and event = any(%(events)s::text [])
    and received_at >= %(since)s
    and received_at < %(until)s
order by received_at, message_id
