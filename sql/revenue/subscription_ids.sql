-- Grain: one mirrored subscription of an account and mode, by customer and id, after a given one; of
-- some customers only, where they are named. In Postgres.
select
    customer,
    id
from stripe.subscriptions
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and (customer, id) > (%(after_customer)s, %(after)s)
    and (%(customers)s::text [] is null or customer = any(%(customers)s::text []))
order by customer, id
limit %(limit)s
