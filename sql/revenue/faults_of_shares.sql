-- Grain: one customer and instant whose items' shares are not its rounded MRR, or one item with two
-- spells at once; nothing where all is right. In Postgres.
select s.account_id || ' ' || s.customer_id || ' ' || s.currency || ' at ' || s.from_at as fault
from (
    select distinct policy, account_id, customer_id, currency, from_at
    from revenue.mrr_spells
    where policy = %(policy)s
) as s
inner join revenue.mrr_spells as o
    on
        s.policy = o.policy and s.account_id = o.account_id
        and s.customer_id = o.customer_id and s.currency = o.currency
        and o.from_at <= s.from_at and (o.until_at is null or o.until_at > s.from_at)
group by s.account_id, s.customer_id, s.currency, s.from_at
having
    bool_or(o.mrr_minor is null) <> bool_and(o.mrr_minor is null)
    or abs(sum(o.mrr_minor) - sum(o.exact_numerator / o.exact_denominator)) > 0.5000001
    or count(*) > count(distinct (o.subscription_id, o.item_id))
limit %(limit)s
