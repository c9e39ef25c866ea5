-- One row per user who signed up before as_of, numbered in order of entry.
select
    user_id,
    day as entry_day,
    segment,
    cast(row_number() over (order by day, user_id) - 1 as integer) as user_number
from known
cross join options
where at_microsecond < as_of
