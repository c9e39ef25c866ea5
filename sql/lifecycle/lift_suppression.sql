-- Ends a suppression for one reason.
update lifecycle.suppressions
set
    lifted_at = clock_timestamp(),
    lifted_why = %(why)s
where address_hash = %(address_hash)s and reason = %(reason)s and lifted_at is null
