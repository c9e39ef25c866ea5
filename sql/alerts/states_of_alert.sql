-- Grain: one channel of one alert, with what became of it.
select channel, state, last_error
from alerts.outbox
where alert_key = %(alert_key)s
order by channel
