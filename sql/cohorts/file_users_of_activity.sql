-- One row per user of the files that counts: without a users file everyone who did something is known.
select
    user_id,
    cast(null as bigint) as at_microsecond,
    cast(null as integer) as day,
    cast(null as varchar) as segment
from records
where fault is null and user_id not in (select user_id from excluded)
group by user_id
