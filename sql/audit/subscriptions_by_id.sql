-- Grain: one wanted subscription in a file. Runs in the engine.
select
    s.id,
    s.customer,
    s.api_version,
    epoch(s.fetched_from)::bigint as fetched,
    s.raw
from subscriptions as s
semi join wanted as w on s.id = w.id
order by s.customer, s.id
