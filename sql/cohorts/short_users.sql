-- One row per period and day of entry: users who have a bit in the words of the period.
select
    words.period,
    users.entry_day,
    count(*) as users
from users
inner join words on users.user_number // 63 = words.word
where
    users.entry_day <= $through
    and (words.bits & (cast(1 as bigint) << cast(users.user_number % 63 as integer))) <> 0
group by words.period, users.entry_day
