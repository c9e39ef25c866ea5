-- One row per period with an active user: distinct users, and distinct pairs of user and day.
-- Contract: docs/metrics.md, "Active users".
with periods as (
    select
        user_number,
        period,
        count(*) as user_days
    from activity
    inner join calendar using (day)
    cross join options
    where events >= min_events
    group by user_number, period
)

select
    period,
    count(*) as users,
    sum(user_days) as user_days
from periods
group by period
order by period
