-- Grain: one outcome of requests that showed no active write key, since a day (UTC).
select
    outcome,
    sum(count)::bigint as count
from events.key_counts
where key_id = 0 and day >= %(since)s
group by outcome
order by outcome
