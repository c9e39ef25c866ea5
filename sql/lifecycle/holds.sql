-- Grain: one address that waits for Kit's word.
select
    address_hash,
    kit_id
from lifecycle.suppressions
where reason = 'hold' and lifted_at is null
order by since
