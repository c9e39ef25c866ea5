-- Marts check: payments by day add up to the books. Result: one row per account, mode and currency that does not.
with kept as (
    select
        account_id,
        livemode,
        currency,
        sum(payments) as payments,
        sum(net_minor) as net_minor
    from marts.payments_daily
    group by account_id, livemode, currency
),

books as (
    select
        account_id,
        livemode,
        currency,
        count(*) as payments,
        sum(amount_minor - refunded_minor - disputed_minor) as net_minor
    from billing.payments
    where status = 'succeeded' and captured
    group by account_id, livemode, currency
)

select
    coalesce(k.account_id, b.account_id) as account_id,
    coalesce(k.currency, b.currency) as currency,
    k.net_minor as kept_minor,
    b.net_minor as booked_minor
from kept as k
full join books as b
    on k.account_id = b.account_id and k.livemode = b.livemode and k.currency = b.currency
where
    k.net_minor is distinct from b.net_minor
    or k.payments is distinct from b.payments
order by 1, 2;
