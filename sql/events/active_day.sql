-- Grain: one user of one day, in order of the number.
select
    user_number::integer as user_number,
    day::integer as day,
    events::bigint as events
from days
where day = $day
order by user_number
