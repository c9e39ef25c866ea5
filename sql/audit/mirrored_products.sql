-- Grain: one asked subscription, with the products of its living items. Runs in Postgres.
select
    subscription as id,
    array_agg(distinct product) as products
from stripe.subscription_items
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and subscription = any(%(ids)s::text [])
    and product is not null
    and deleted_at is null
group by subscription
order by subscription
