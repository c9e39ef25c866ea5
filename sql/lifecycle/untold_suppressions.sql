-- Grain: one address that left here and of which Kit was not told.
select
    s.address_hash,
    (
        select max(o.kit_id)
        from lifecycle.outbox as o
        where o.address_hash = s.address_hash
    ) as kit_id
from lifecycle.suppressions as s
where
    s.told_kit_at is null
    and s.lifted_at is null
    and s.reason in ('unsubscribed', 'erased', 'manual')
    and s.source not in ('kit', 'kit_webhook')
group by s.address_hash
