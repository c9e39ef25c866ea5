-- One row per segment, window length and day on which a rolling count of active users changes, by how
-- much. A user counts in a window of w days from an active day until w days later or the next active
-- day, whichever comes first; so spells never overlap and each user counts once.
-- people: segments of users, may be empty. Contract: docs/metrics.md, "Active users".
with days as (
    select
        a.user_number,
        p.segment,
        a.day,
        lead(a.day) over (partition by a.user_number order by a.day) as next_day
    from activity as a
    cross join options as o
    left join people as p on a.user_number = p.user_number
    where a.events >= o.min_events
),

changes as (
    select
        segment,
        window_days,
        day,
        1 as change
    from days
    cross join windows
    union all
    select
        segment,
        window_days,
        least(day + window_days, coalesce(next_day, day + window_days)) as day,
        -1 as change
    from days
    cross join windows
)

select
    segment,
    window_days,
    day,
    sum(change) as change
from changes
group by segment, window_days, day
order by segment, window_days, day
