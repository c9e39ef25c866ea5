-- Marts check: customers of a closed month add up to MRR of its last day. Result: one row per offender.
with kept as (
    select
        policy,
        month_start,
        currency,
        case when count(*) = count(mrr_minor) then sum(mrr_minor) end as mrr_minor,
        count(*) filter (where mrr_minor > 0) as customers
    from marts.mrr_customer_months
    group by policy, month_start, currency
),

published as (
    select
        policy,
        date_trunc('month', day::timestamp)::date as month_start,
        currency,
        mrr_minor,
        customers
    from revenue.mrr_daily
    where
        state = 'closed'
        and extract(day from day + 1) = 1
)

select
    coalesce(k.policy, p.policy) as policy,
    coalesce(k.month_start, p.month_start) as month_start,
    coalesce(k.currency, p.currency) as currency,
    k.mrr_minor as kept_minor,
    p.mrr_minor as published_minor
from kept as k
full join published as p
    on k.policy = p.policy and k.month_start = p.month_start and k.currency = p.currency
where
    case when k.policy is null then 0 else k.mrr_minor end
    is distinct from case when p.policy is null then 0 else p.mrr_minor end
    or coalesce(k.customers, 0) <> coalesce(p.customers, 0) and k.mrr_minor is not null
order by 1, 2, 3;
