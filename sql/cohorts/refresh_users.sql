-- One row per user who entered on one of the wanted days and was active: others are in no count but the
-- size of their cohort, which is known.
select
    users.user_number,
    users.entry_day,
    segments.segment
from users
inner join wanted on users.entry_day = wanted.day
left join segments on users.user_number = segments.user_number
where users.user_number in (select activity.user_number from activity)
