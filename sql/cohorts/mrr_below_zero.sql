-- One row: the first user, and day, whose MRR is below 0; none if there is no such.
select
    user_id,
    from_day
from spells
where minor < 0
order by user_id, from_day
limit 1
