-- Grain: one finding of a month; open ones, or all.
select
    fingerprint,
    code,
    severity,
    object,
    object_id,
    currency,
    impact_minor,
    also,
    cause,
    action,
    command,
    evidence,
    owner,
    suppression,
    first_seen_at,
    last_seen_at,
    closed_at
from audit.seen_findings
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and month = %(month)s
    and tz = %(tz)s
    and (closed_at is null or %(with_closed)s)
order by fingerprint
