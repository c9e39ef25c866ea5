-- Grain: one open finding of a month: its name, its class, and a name for what it says.
select
    fingerprint,
    code,
    content
from audit.findings
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and month = %(month)s
    and tz = %(tz)s
    and closed_at is null
