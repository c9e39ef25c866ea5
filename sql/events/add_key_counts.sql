-- Grain: one day, write key and outcome. Counts are added to what is there.
-- Why ordered: two processes that add at once take their locks in one order.
insert into events.key_counts (day, key_id, outcome, count)
select *
from unnest(
    %(days)b::date [],
    %(key_ids)b::integer [],
    %(outcomes)b::text [],
    %(counts)b::bigint []
)
    as counted (day, key_id, outcome, count)
order by day, key_id, outcome
on conflict (day, key_id, outcome) do update
set count = key_counts.count + excluded.count
