-- One row per user who was ever active: the first day, and the segment that is known.
select
    u.user_number,
    u.entry_day as first_day,
    s.segment
from users as u
left join segments as s on u.user_number = s.user_number
order by u.user_number
