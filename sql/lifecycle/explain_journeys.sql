-- Grain: one journey that a user entered.
select
    journey,
    version,
    entered_at,
    trigger,
    is_holdout,
    state,
    next_step,
    next_at,
    goal_at,
    ended_at,
    end_reason
from lifecycle.enrolments
where user_number = %(user_number)s
order by entered_at, journey
