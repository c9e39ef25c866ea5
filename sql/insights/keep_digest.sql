-- Grain: one digest. Why "do nothing": the key is the hash of all that it says.
insert into insights.digests (digest_sha256, week_start, week_end, weeks, made_at, document)
values (%(digest_sha256)s, %(week_start)s, %(week_end)s, %(weeks)s, %(made_at)s, %(document)s::jsonb)
on conflict (digest_sha256) do nothing
