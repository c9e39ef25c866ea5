-- Ends journeys of users who were excluded: internal and test users are in none.
with gone as (
    select n.user_number
    from activity.excluded_users as x
    inner join activity.user_numbers as n on x.user_key = n.user_key
),

messages as (
    update lifecycle.outbox as o
    set
        state = 'skipped',
        reason = 'excluded'
    from gone as g
    where o.user_number = g.user_number and o.state = 'pending'
)

update lifecycle.enrolments as e
set
    state = 'exited',
    next_at = null,
    ended_at = %(now)s,
    end_reason = 'excluded'
from gone as g
where e.user_number = g.user_number and e.state = 'active'
