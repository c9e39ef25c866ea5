-- One row per day of entry, segment and day: users who entered then and were active, and their events.
-- Whatever periods are asked for, these few rows have their events; a column of a single day has its
-- users too. For users who enter once. Kinds of users have a number, because adding up by words takes
-- eight times as long.
with kinds as (
    select
        entry_day,
        segment,
        cast(row_number() over (order by entry_day, segment) as integer) as number
    from (
        select distinct
            entry_day,
            segment
        from users
    ) as found
),

members as (
    select
        users.user_number,
        kinds.number
    from users
    inner join kinds
        on users.entry_day = kinds.entry_day and users.segment is not distinct from kinds.segment
),

days as (
    select
        members.number,
        activity.day,
        count(*) as users,
        sum(activity.events) as events
    from activity
    inner join members on activity.user_number = members.user_number
    group by members.number, activity.day
)

select
    kinds.entry_day,
    kinds.segment,
    days.day,
    days.users,
    cast(days.events as bigint) as events
from days
inner join kinds on days.number = kinds.number
