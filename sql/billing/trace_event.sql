-- Grain: one stored event of this id, with what applying it did. Two accounts may know one id.
select
    account_id,
    livemode,
    event_id,
    type,
    api_version,
    created_at,
    received_at,
    source,
    state,
    reason,
    applied_at,
    effect,
    object,
    object_id
from billing.inbox
where event_id = %(event_id)s
order by account_id, livemode
