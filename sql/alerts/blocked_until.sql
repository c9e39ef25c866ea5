-- Grain: one channel that is left alone until an instant.
select blocked_until
from alerts.channels
where channel = %(channel)s and blocked_until is not null
