-- Grain: one claimed alert with the outcome of its call. What arrived keeps no picture.
update alerts.outbox
set
    state = %(state)s,
    last_error = %(error)s,
    external_id = coalesce(%(external_id)s, external_id),
    sent_at = %(sent_at)s,
    due_at = %(due_at)s,
    picture = case when %(state)s <> 'sent' then picture end
where alert_id = any(%(ids)s::bigint[]) and state in ('sending', 'unknown')
