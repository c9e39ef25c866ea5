-- One row per user who entered up to a day, in order of the number.
select
    user_number,
    entry_day
from users
where entry_day <= $through
order by user_number
