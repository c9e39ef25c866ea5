-- One row per segment and touched period with an active user: how many, their active days, who came
-- back from the period before, who is new. Each active user of a period is exactly one of new,
-- returning, resurrecting (the rest). activity: days of the touched periods and of those before them,
-- where kept does not have their users already; people: first active day of everybody, segment.
-- Contract: docs/metrics.md, "Published active users".
with told as (
    select
        a.user_number,
        c.period,
        count(*) as user_days
    from activity as a
    inner join calendar as c on a.day = c.day
    cross join options as o
    where a.events >= o.min_events
    group by a.user_number, c.period
    union all
    select
        user_number,
        period,
        user_days
    from kept
),

placed as (
    select
        user_number,
        period,
        user_days,
        lag(period) over (partition by user_number order by period) as period_before
    from told
),

judged as (
    select
        p.segment,
        t.period,
        t.user_days,
        coalesce(t.period_before = t.period - 1, false) as is_returning,
        f.period = t.period as is_new
    from placed as t
    inner join touched as w on t.period = w.period
    inner join people as p on t.user_number = p.user_number
    inner join first_periods as f on p.first_day = f.day
)

select
    segment,
    period,
    count(*) as users,
    sum(user_days) as user_days,
    count(*) filter (where is_returning) as returning_users,
    count(*) filter (where is_new) as new_users
from judged
group by segment, period
order by segment, period
