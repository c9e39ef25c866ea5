-- Grain: one finding of one month, of every account: the newest month and the worst first.
select *
from audit.seen_findings
where
    (closed_at is null or %(with_closed)s)
    and (%(month)s::date is null or month = %(month)s)
    and (%(tz)s::text is null or tz = %(tz)s)
    and (%(code)s::text is null or code = %(code)s)
    and (%(severity)s::text is null or severity = %(severity)s)
order by
    month desc,
    array_position(array['HIGH', 'MEDIUM', 'LOW'], severity),
    abs(coalesce(impact_minor, 0)) desc,
    code,
    object_id,
    fingerprint
