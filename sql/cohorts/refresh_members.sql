-- One row per day of entry and segment: how many users entered, and two sums that change when these users do.
select
    users.entry_day,
    segments.segment,
    count(*) as members,
    sum(cast(users.user_number as bigint)) as numbers,
    sum(cast(users.user_number as bigint) * users.user_number % 1000003) as residues
from users
left join segments on users.user_number = segments.user_number
group by users.entry_day, segments.segment
