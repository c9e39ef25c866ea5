-- Grain: at most one row: how a month was frozen.
select
    audit_id,
    definition,
    closed_at,
    as_of,
    totals,
    file_sha256,
    file_rows,
    file_bytes
from audit.closes
where
    account_id = %(account_id)s and livemode = %(livemode)s and month = %(month)s and tz = %(tz)s
