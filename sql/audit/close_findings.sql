-- Grain: one open finding of a month that the newest audit judged and no longer sees; it closes
-- itself.
update audit.findings
set closed_at = %(seen_at)s
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and month = %(month)s
    and tz = %(tz)s
    and fingerprint = any(%(gone)s::text [])
    and closed_at is null
