-- One row per customer, currency and instant at which a spell begins or ends while another is live:
-- plan and interval of the item with the largest MRR (equal ones: the smaller id).
with points as (
    select
        number,
        currency,
        from_us as at_us
    from periods
    union
    select
        number,
        currency,
        until_us as at_us
    from periods
    where until_us is not null
),

held as (
    select
        p.number,
        p.currency,
        p.at_us,
        min({
            'less': -s.amount, 'subscription': s.subscription, 'item': s.item,
            'product': s.product, 'every': s.every
        }) as largest
    from points as p
    inner join periods as s
        on
            p.number = s.number
            and p.currency = s.currency
            and p.at_us >= s.from_us
            and p.at_us < coalesce(s.until_us, 9223372036854775807)
    group by p.number, p.currency, p.at_us
)

select
    number,
    currency,
    at_us,
    largest.product as plan,
    largest.every as every
from held
