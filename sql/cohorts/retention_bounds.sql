-- One row: the first and last day of all facts, to know which days a calendar must hold.
select
    min(day) as first_day,
    max(day) as last_day
from (
    select entry_day as day from users
    union all
    select day from activity
    union all
    select day from money
) as days
