-- Grain: at most one row: an audit of the month that finished later than the given one.
select audit_id
from audit.audits
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and month = %(month)s
    and tz = %(tz)s
    and finished_at > %(finished_at)s
    and audit_id <> %(audit_id)s
limit 1
