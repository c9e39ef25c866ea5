-- One row per user and entry: what the retention queries take.
select
    user_number,
    entry_day,
    segment
from entries
