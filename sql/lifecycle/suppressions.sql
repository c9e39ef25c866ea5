-- Grain: one reason of an address; no holds, which end by themselves.
select
    address_hash,
    reason,
    source,
    since,
    lifted_at
from lifecycle.suppressions
where reason <> 'hold'
order by address_hash, reason
