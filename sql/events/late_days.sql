-- Grain: one local day of which something happened or was received since an instant.
select distinct (s.occurred_at at time zone %(tz)s)::date as day
from activity.source_events as s
where
    (s.received_at >= %(since)s or s.occurred_at >= %(since)s)
    and s.occurred_at >= '1900-01-01Z'
    and s.occurred_at < %(as_of)s
order by day
