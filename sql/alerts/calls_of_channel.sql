-- Grain: one delivery to a channel within the reach of its limits.
select requests, began_at, ended_at
from alerts.calls
where channel = %(channel)s
order by began_at
