-- Grain: one channel that takes alerts again.
update alerts.channels
set blocked_until = null, failures = 0, reason = null
where channel = %(channel)s and failures > 0
