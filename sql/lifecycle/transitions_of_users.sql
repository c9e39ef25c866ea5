-- Grain: one transition of asked users that counts.
select
    transition_id,
    user_number,
    day,
    from_stage,
    to_stage,
    evidence,
    definition
from lifecycle.transitions
where user_number = any(%(users)s::int []) and superseded_at is null
order by user_number, day
