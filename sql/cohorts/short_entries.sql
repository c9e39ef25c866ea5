-- One row per day of activity and day of entry: how many were active, and their events. Who has not
-- entered by the day `through` has a row of his own, because his day of entry may still become known.
with entered as (
    select
        user_number,
        entry_day
    from users
    where entry_day <= $through
)

select
    activity.day,
    entered.entry_day,
    case when entered.entry_day is null then activity.user_number end as user_number,
    count(*) as users,
    cast(sum(activity.events) as bigint) as events
from activity
left join entered on activity.user_number = entered.user_number
group by
    activity.day,
    entered.entry_day,
    case when entered.entry_day is null then activity.user_number end
