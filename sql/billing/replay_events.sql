-- Grain: one quarantined event that waits again, for one event or (null) all of them.
-- Why: after an adapter learnt a version, the same bytes are read once more.
update billing.inbox
set
    state = 'received',
    reason = null,
    applied_at = null
where
    state = 'quarantined'
    and (%(event_id)s::text is null or event_id = %(event_id)s)
