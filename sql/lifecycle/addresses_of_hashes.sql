-- Grain: one asked hash and an address of it that a user has now.
select distinct on (told.hash)
    told.hash,
    told.email
from (
    select
        lifecycle.address_hash(email) as hash,
        email
    from activity.source_users
    where email is not null
    union all
    select
        lifecycle.address_hash(email),
        email
    from billing.user_customers
    where email is not null
) as told
where told.hash = any(%(hashes)s::bytea [])
order by told.hash, told.email
