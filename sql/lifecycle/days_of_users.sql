-- Grain: one active day of asked users.
select
    user_number,
    day,
    features,
    milestones
from lifecycle.user_days
where user_number = any(%(users)s::int [])
order by user_number, day
