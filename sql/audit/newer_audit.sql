-- Grain: at most one row: an audit of the month that knows more than the given one: of a
-- later as-of instant, or of the same and finished later.
select audit_id
from audit.audits
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and month = %(month)s
    and tz = %(tz)s
    and (as_of, finished_at) > (%(as_of)s, %(finished_at)s)
    and audit_id <> %(audit_id)s
limit 1
