-- Grain of the result: the new write key.
insert into events.write_keys (source_id, key_hash, shown, origins, created_at)
values (%(source_id)s, %(key_hash)s, %(shown)s, %(origins)s, %(now)s)
returning key_id
