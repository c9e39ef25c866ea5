-- Grain: one row, with when an audit of one of the months last finished; null if none ever did.
select max(finished_at)
from audit.audits
where month = any(%(months)s::date[])
