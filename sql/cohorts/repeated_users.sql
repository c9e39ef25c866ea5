-- One row: users that the users file names more than once: with the same values, and with others.
with users as (
    select
        user_id,
        count(*) as lines,
        count(distinct (at_microsecond, segment)) as versions
    from records
    where fault is null
    group by user_id
    having count(*) > 1
)

select
    count(*) filter (where versions = 1) as repeated,
    min(user_id) filter (where versions > 1) as contradicted
from users
