-- Grain: one user who came into one of some stages after a day, up to another.
select distinct user_number
from lifecycle.transitions
where
    superseded_at is null
    and day > %(day)s
    and day <= %(until)s
    and to_stage = any(%(stages)s::text [])
order by user_number
