-- One row per day on which users came back after a silence of at least so many days (difference of
-- dates to the active day before): how many, and how many of them were active again in a later span.
-- Contract: docs/metrics.md, "Active users".
with days as (
    select
        user_number,
        day,
        lag(day) over (partition by user_number order by day) as day_before
    from activity
    cross join options
    where events >= min_events
),

woken as (
    select
        user_number,
        day
    from days
    cross join options
    where day - day_before >= silent_days
),

again as (
    select distinct
        woken.user_number,
        woken.day
    from woken
    cross join options
    inner join days
        on
            woken.user_number = days.user_number
            and days.day >= woken.day + retained_from
            and days.day <= woken.day + retained_to
)

select
    woken.day,
    count(*) as users,
    count(again.day) as retained
from woken
left join again on woken.user_number = again.user_number and woken.day = again.day
group by woken.day
order by woken.day
