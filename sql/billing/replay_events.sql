-- Grain: one quarantined event that waits again, for one event or (null) all of them; an ignored
-- one only if it is named.
-- Why: after an adapter learnt a version, or a type came to be needed, the same bytes are read again.
update billing.inbox
set
    state = 'received',
    reason = null,
    applied_at = null,
    effect = null
where
    (state = 'quarantined' and (%(event_id)s::text is null or event_id = %(event_id)s))
    or (state = 'ignored' and event_id = %(event_id)s)
