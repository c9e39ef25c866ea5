-- Grain: one transition of a user, those that later facts made untrue too.
select
    day,
    from_stage,
    to_stage,
    evidence,
    definition,
    decided_at,
    superseded_at
from lifecycle.transitions
where user_number = %(user_number)s
order by day, transition_id
