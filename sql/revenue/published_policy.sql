-- Grain: one published policy. In Postgres.
select
    policy,
    options,
    tz,
    as_of,
    known_at,
    inputs_sha256,
    code_version
from revenue.policies
where policy = %(policy)s
