-- Grain: one change of stage of asked users that counts.
select
    user_number,
    day,
    from_stage,
    to_stage
from lifecycle.transitions
where user_number = any(%(users)s::int []) and superseded_at is null
order by user_number, day
