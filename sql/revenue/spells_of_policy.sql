-- Grain: one published spell of MRR under a policy that begins before as_of. In Postgres.
select
    account_id,
    customer_id,
    currency,
    subscription_id,
    item_id,
    coalesce(product_id, price_id) as product,
    case when interval_count > 1 then interval_count || ' ' || billing_interval else billing_interval end as every,
    mrr_minor,
    contract_minor,
    ends_by,
    cancels_at is not null as is_leaving,
    (extract(epoch from from_at) * 1000000)::int8 as from_us,
    (extract(epoch from until_at) * 1000000)::int8 as until_us
from revenue.mrr_spells
where policy = %(policy)s and from_at < %(as_of)s
