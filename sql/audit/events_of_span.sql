-- Grain: one event of Stripe's list, created in a half-open span of seconds. Runs in the engine.
select distinct
    id,
    type,
    object,
    object_id,
    created,
    pending_webhooks
from events
where created >= $start and created < $end
order by created, id
