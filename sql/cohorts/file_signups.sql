-- One row per active user whose sign-up before as_of a users file tells, with its local day.
select
    entries.user_number,
    known.day
from entries
inner join known on entries.user_id = known.user_id
cross join options
where known.at_microsecond < as_of
