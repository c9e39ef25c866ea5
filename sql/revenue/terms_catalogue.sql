-- Grain: one discount, coupon or tiered price of an account and mode, deleted ones too. In Postgres.
-- Why all: history asks for what was in use at any time. A discount of a customer that was removed
-- ended when it was; one that went with its customer lowers what was paid for up to the end.
select
    'discount' as object,
    found.id,
    found.parent_object,
    found.parent_id,
    found.coupon,
    extract(epoch from found.starts_at)::bigint as starts_at,
    extract(epoch from least(
        found.ends_at,
        case
            when customer.deleted_at is null or found.deleted_at < customer.deleted_at
                then found.deleted_at
        end
    ))::bigint as ends_at,
    found.payload
from stripe.discounts as found
left join stripe.customers as customer
    on
        found.parent_object = 'customer'
        and found.account_id = customer.account_id
        and found.livemode = customer.livemode
        and found.parent_id = customer.id
where
    found.account_id = %(account_id)s
    and found.livemode = %(livemode)s
    and found.parent_object in ('customer', 'subscription')

union all

select
    'coupon' as object,
    id,
    null as parent_object,
    null as parent_id,
    null as coupon,
    null as starts_at,
    null as ends_at,
    payload
from stripe.coupons
where account_id = %(account_id)s and livemode = %(livemode)s

union all

select
    'price' as object,
    id,
    null as parent_object,
    null as parent_id,
    null as coupon,
    null as starts_at,
    null as ends_at,
    payload
from stripe.prices
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and payload ->> 'billing_scheme' = 'tiered'
