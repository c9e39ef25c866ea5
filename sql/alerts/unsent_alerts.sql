-- Grain: one alert to one channel that is not known to have arrived, the oldest first.
select
    alert_id,
    channel,
    state,
    level,
    title,
    created_at,
    due_at,
    attempts,
    last_error
from alerts.outbox
where state <> 'sent'
order by alert_id
limit %(limit)s
