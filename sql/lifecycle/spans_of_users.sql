-- Grain: one billing span of asked users.
select
    user_number,
    kind,
    from_on,
    until_on,
    why
from lifecycle.billing_spans
where user_number = any(%(users)s::int [])
order by user_number, kind, from_on, why
