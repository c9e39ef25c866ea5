-- Grain: one subscription of the month's list, the next ones after an id. Runs in the engine.
-- Why by pages: the JSON of a month's subscriptions need not fit into memory.
select
    id,
    created,
    customer,
    status,
    api_version,
    epoch(fetched_from)::bigint as fetched,
    raw
from subscriptions
where id > $after
order by id
limit $rows
