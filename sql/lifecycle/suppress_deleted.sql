-- Addresses that messages of deleted users were for.
insert into lifecycle.suppressions (address_hash, reason, source)
select distinct
    o.address_hash,
    'erased',
    'source'
from lifecycle.outbox as o
inner join activity.user_numbers as n on o.user_number = n.user_number
where n.deleted_at is not null and o.address_hash is not null
on conflict (address_hash, reason) do nothing
