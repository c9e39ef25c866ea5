-- One row per user that a users file names and that counts, signed up or not; the sign-up is null
-- when unknown. Ids that are merged into another are no users.
select
    user_id,
    any_value(at_microsecond) as at_microsecond,
    any_value(day) as day,
    any_value(segment) as segment
from records
where
    fault is null
    and user_id not in (select user_id from excluded)
    and user_id not in (select user_id from aliases where user_id is not null)
group by user_id
