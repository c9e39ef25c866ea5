-- Grain: one month of a zone that was audited, of every account: an empty list of findings says
-- something only about these.
select distinct
    month,
    tz
from audit.audits
where
    (%(month)s::date is null or month = %(month)s)
    and (%(tz)s::text is null or tz = %(tz)s)
order by month, tz
