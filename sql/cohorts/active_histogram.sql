-- One row per number of distinct periods with activity in a range of days: how many users had it.
-- Activity is cut to the range first, so a period at its edge counts with what lies inside.
-- Contract: docs/metrics.md, "Active users".
with counted as (
    select
        user_number,
        count(distinct period) as active_periods
    from activity
    inner join calendar using (day)
    cross join options
    cross join span
    where events >= min_events and day >= first_day and day <= last_day
    group by user_number
)

select
    active_periods,
    count(*) as users
from counted
group by active_periods
order by active_periods
