-- Grain: one enrolment of asked users.
select
    user_number,
    journey,
    version,
    entered_at,
    is_holdout,
    trigger ->> 'told',
    next_step,
    next_at,
    (trigger ->> 'due_at')::timestamptz,
    state,
    goal_at,
    ended_at,
    end_reason
from lifecycle.enrolments
where user_number = any(%(users)s::int [])
order by user_number, journey
