-- Grain: one running subscription that the mirror knows of the asked customers. Runs in Postgres.
select
    id,
    customer
from stripe.subscriptions
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and customer = any(%(customers)s::text [])
    and deleted_at is null
    and status in ('trialing', 'active', 'past_due')
order by customer, id
