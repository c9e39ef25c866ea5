-- Keeps to which address a claimed message goes. Grain: one row, what speaks against it; none when the
-- claim is lost.
update lifecycle.outbox as o
set address_hash = %(address_hash)s
where o.message_id = %(message_id)s and o.state = 'sending' and o.claimed_at = %(claimed_at)s
returning
    case
        when exists (
            select 1 from lifecycle.suppressions as s
            where s.address_hash = %(address_hash)s and s.lifted_at is null
        ) then 'suppressed'
        when exists (
            select 1 from activity.user_numbers as n
            where n.user_number = o.user_number and n.deleted_at is not null
        ) then 'deleted'
        else ''
    end
