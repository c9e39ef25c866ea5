-- One row per user of one period: on how many of its days the user was active.
-- Contract: docs/metrics.md, "Published active users".
select
    a.user_number,
    cast($period as integer) as period,
    cast(count(*) as integer) as user_days
from activity as a
cross join options as o
where a.events >= o.min_events
group by a.user_number
order by a.user_number
