-- Grain: one customer that the application says belongs to an asked user.
select
    user_id,
    customer_id
from billing.user_customers
where
    account_id = any(%(accounts)s::text [])
    and livemode = %(livemode)s
    and user_id = any(%(ids)s::text [])
    and customer_id is not null
