-- Kit was told.
update lifecycle.suppressions
set told_kit_at = clock_timestamp()
where address_hash = %(address_hash)s and told_kit_at is null
