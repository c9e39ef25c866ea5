-- One row per window length and day on which a rolling count of active users changes, by how much.
-- A user counts in a window of w days from an active day until w days later or the next active day,
-- whichever comes first; so spells never overlap and each user counts once.
-- Contract: docs/metrics.md, "Active users".
with days as (
    select
        user_number,
        day,
        lead(day) over (partition by user_number order by day) as next_day
    from activity
    cross join options
    where events >= min_events
),

changes as (
    select
        window_days,
        day,
        1 as change
    from days
    cross join windows
    union all
    select
        window_days,
        least(day + window_days, coalesce(next_day, day + window_days)) as day,
        -1 as change
    from days
    cross join windows
)

select
    window_days,
    day,
    sum(change) as change
from changes
group by window_days, day
order by window_days, day
