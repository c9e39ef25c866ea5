-- Grain: one subscription of the wanted customers in a file. Runs in the engine.
-- Why without the JSON: a customer's subscriptions can stand in any month's file.
select
    s.id,
    s.customer,
    s.created,
    s.status,
    s.cancel_at is not null or s.cancel_at_period_end as is_ending,
    epoch(s.fetched_from)::bigint as seen_from
from subscriptions as s
semi join wanted as w on s.customer = w.id
