-- Grain: one reason of an address.
select
    address_hash,
    reason,
    source,
    since,
    lifted_at,
    kit_id
from lifecycle.suppressions
where address_hash = %(address_hash)s
order by since, reason
