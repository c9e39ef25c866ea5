-- Grain of the result: the write key, with when it was revoked; the first time counts.
update events.write_keys
set revoked_at = coalesce(revoked_at, %(now)s)
where key_id = %(key_id)s
returning key_id, revoked_at
