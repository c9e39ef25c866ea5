-- Grain: one reason (its code), with how many rejected calls wait.
select
    split_part(reason, ':', 1) as code,
    count(*) as letters
from events.dead_letters
where replayed_at is null
group by split_part(reason, ':', 1)
order by code
