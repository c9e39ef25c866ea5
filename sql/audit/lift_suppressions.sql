-- Grain: one decision that ends before its time; one that was lifted before keeps by whom.
update audit.suppressions
set
    lifted_at = %(now)s,
    lifted_by = %(lifted_by)s
where suppression_id = any(%(ids)s) and lifted_at is null
