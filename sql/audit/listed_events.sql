-- Grain: one event of Stripe's list that speaks of a wanted (object, id). Runs in the engine.
-- Why distinct: the files of two extractions may both hold an event.
select distinct
    events.object,
    events.object_id as id,
    events.id as event_id,
    events.type,
    events.created as created_at,
    events.pending_webhooks
from events
inner join wanted on events.object = wanted.object and events.object_id = wanted.id
order by created_at, event_id
