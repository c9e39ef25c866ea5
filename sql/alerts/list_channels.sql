-- Grain: one channel that refused something since it last took anything.
select channel, blocked_until, failures, reason
from alerts.channels
where failures > 0
order by channel
