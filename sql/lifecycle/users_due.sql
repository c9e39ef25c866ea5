-- Grain: one user whose stage may change on a day that is over, though nothing new was told.
select user_number
from lifecycle.users
where next_due_on <= %(last_on)s
order by next_due_on, user_number
limit %(batch)s
