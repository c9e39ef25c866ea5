-- Grain: one living user of the application who belongs to an asked customer. Runs in Postgres.
select
    user_id,
    email,
    customer_id,
    extract(epoch from written_at)::bigint as written_at
from billing.user_customers
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and customer_id = any(%(ids)s::text [])
    and deleted_at is null
order by customer_id, user_id
