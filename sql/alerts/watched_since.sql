-- Grain: one regular event, with since when it is watched.
select since
from alerts.watches
where name = %(name)s
