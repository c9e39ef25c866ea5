-- Grain: one policy whose spells are published. In Postgres.
select
    policy,
    tz,
    as_of
from revenue.policies
order by policy
