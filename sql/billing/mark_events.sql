-- Grain: one event whose fate is decided; `reason` says why it was ignored or quarantined.
-- Why greatest: `now` is when applying began, and events arrive meanwhile.
update billing.inbox
set
    state = event.state,
    reason = event.reason,
    object = event.object,
    object_id = event.object_id,
    effect = event.effect,
    applied_at = greatest(%(now)s, inbox.received_at)
from unnest(
    %(account_ids)b::text [],
    %(livemodes)b::boolean [],
    %(event_ids)b::text [],
    %(states)b::text [],
    %(reasons)b::text [],
    %(objects)b::text [],
    %(object_ids)b::text [],
    %(effects)b::text []
) as event (
    account_id, livemode, event_id, state, reason, object, object_id, effect
)
where
    inbox.account_id = event.account_id
    and inbox.livemode = event.livemode
    and inbox.event_id = event.event_id
