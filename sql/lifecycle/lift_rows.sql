-- Grain: one enrolment; those whose time for the goal is over make up lift.
select
    user_number,
    journey,
    version,
    is_holdout,
    entered_at
from lifecycle.enrolments
order by journey, user_number
