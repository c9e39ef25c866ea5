-- Grain: one channel, with its refusals since it last took something.
select failures
from alerts.channels
where channel = %(channel)s
