-- Grain: one write key that may tell events now.
select
    key.key_id,
    key.key_hash,
    key.source_id,
    source.name as source,
    key.origins
from events.write_keys as key
inner join events.sources as source on key.source_id = source.source_id
where key.revoked_at is null
