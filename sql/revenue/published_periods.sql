-- One row per published spell of MRR, as file_periods.sql has them: live in [from_us, until_us), null
-- without end. What begins or ends at as_of or later does not exist yet. An unknown price is 0 here;
-- is_unknown says so, and no figure that it touches is told. Amounts are decimals, because Parquet has no
-- wider whole numbers for their sums.
with placed as (
    select
        s.*,
        case
            when o.by_subscription then s.account_id || chr(31) || s.customer_id || chr(31) || s.subscription_id
            else s.account_id || chr(31) || s.customer_id
        end as customer
    from spells as s
    cross join options as o
    where s.from_us < o.as_of
),

-- Numbers join and sort faster than names.
numbers as (
    select
        customer,
        row_number() over () as number
    from (select distinct customer from placed) as c
)

select
    p.customer,
    n.number,
    p.account_id,
    p.customer_id,
    p.currency,
    p.subscription_id as subscription,
    p.item_id as item,
    p.ends_by as cause,
    cast(coalesce(p.mrr_minor, 0) as decimal(18, 0)) as amount,
    cast(coalesce(p.contract_minor, 0) as decimal(18, 0)) as contract,
    p.mrr_minor is null as is_unknown,
    cast(case when p.is_leaving then coalesce(p.mrr_minor, 0) else 0 end as decimal(18, 0)) as leaving,
    p.product,
    p.every,
    p.from_us,
    cast((p.from_us // 1000000 + f.offset) // 86400 as integer) as from_day,
    case when p.until_us < o.as_of then p.until_us end as until_us,
    case
        when p.until_us < o.as_of then cast((p.until_us // 1000000 + u.offset) // 86400 as integer)
    end as until_day
from placed as p
cross join options as o
inner join numbers as n on p.customer = n.customer
asof join zone as f on p.from_us >= f.from_us
asof left join zone as u on p.until_us >= u.from_us
