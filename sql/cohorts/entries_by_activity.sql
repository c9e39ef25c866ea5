-- One row per user who has activity: the local day of the first one. Entries before $since are known;
-- whoever else entered did so on or after it.
with found as (
    select
        user_number,
        entry_day
    from known
    where entry_day < $since
    union all
    select
        user_number,
        day as entry_day
    from facts
    where day >= $since
)

select
    user_number,
    cast(min(entry_day) as integer) as entry_day
from found
group by user_number
order by user_number
