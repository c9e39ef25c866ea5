-- One row per day of activity and day of entry: of users whose day of entry became known after the day
-- was put in short.
select
    strays.day,
    users.entry_day,
    count(*) as users,
    cast(sum(strays.events) as bigint) as events
from strays
inner join users on strays.user_number = users.user_number
where users.entry_day <= $through
group by strays.day, users.entry_day
