-- One row per user and entry, all in one segment.
select
    user_number,
    entry_day,
    cast(null as varchar) as segment
from users
