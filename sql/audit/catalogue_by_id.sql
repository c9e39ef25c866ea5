-- Grain: one coupon or price of the asked ids, deleted ones too. Runs in Postgres.
select
    'coupon' as object,
    id,
    payload
from stripe.coupons
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and id = any(%(coupons)s::text [])

union all

select
    'price' as object,
    id,
    payload
from stripe.prices
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and id = any(%(prices)s::text [])
