-- Transitions that later facts made untrue.
update lifecycle.transitions
set superseded_at = %(now)s
where transition_id = any(%(ids)s::bigint [])
