-- Says what is published under a policy, and up to when. In Postgres.
insert into revenue.policies (policy, options, tz, as_of, known_at, inputs_sha256, code_version)
values (
    %(policy)s, %(options)s, %(tz)s, %(as_of)s, %(known_at)s, %(inputs_sha256)s, %(code_version)s
)
on conflict (policy) do update set
options = excluded.options,
tz = excluded.tz,
as_of = excluded.as_of,
known_at = excluded.known_at,
inputs_sha256 = excluded.inputs_sha256,
code_version = excluded.code_version,
published_at = now()
