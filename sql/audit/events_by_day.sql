-- Grain: one day of [start, end) in which Stripe listed events; `day` counts from 1970-01-01 UTC.
-- Why: a quiet month is read at once, a busy one some days at a time. Runs in the engine.
select
    created // 86400 as day,
    count(distinct id) as events
from events
where created >= $start and created < $end
group by day
order by day
