-- Grain: the claimed message, locked: what speaks against the call now; no row when the claim is lost.
select
    case
        when exists (
            select 1 from lifecycle.suppressions as s
            where s.address_hash = %(address_hash)s and s.lifted_at is null
        ) then 'suppressed'
        when exists (
            select 1 from activity.user_numbers as n
            where n.user_number = o.user_number and n.deleted_at is not null
        ) then 'deleted'
        when o.late_at < clock_timestamp() then 'too_late'
        else ''
    end
from lifecycle.outbox as o
where o.message_id = %(message_id)s and o.state = 'sending' and o.claimed_at = %(claimed_at)s
for update of o
