-- Grain: the one published policy of a name. No row: it is not published.
select
    p.policy,
    p.tz,
    p.as_of,
    p.inputs_sha256
from revenue.policies as p
where p.policy = %(policy)s
