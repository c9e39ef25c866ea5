-- Grain: one delivery to a channel that is over.
update alerts.calls
set requests = %(requests)s, ended_at = %(now)s
where call_id = %(call_id)s
