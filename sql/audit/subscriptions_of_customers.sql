-- Grain: one subscription of the wanted customers that is billed. Runs in the engine.
select
    s.id,
    s.customer,
    s.api_version,
    epoch(s.fetched_from)::bigint as fetched,
    s.raw
from subscriptions as s
semi join wanted as w on s.customer = w.id
where s.status in ('active', 'past_due')
order by s.customer, s.id
