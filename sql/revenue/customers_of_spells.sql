-- Grain: one customer with a published spell of MRR under a policy, and what it may be split by. In
-- Postgres. The mirror tells what holds now; a customer that it does not have has null.
select
    s.account_id,
    s.customer_id,
    coalesce(c.payload -> 'address' ->> 'country', c.payload -> 'shipping' -> 'address' ->> 'country') as country,
    coalesce(c.payload -> 'metadata', '{}'::jsonb)::text as metadata
from (
    select distinct
        account_id,
        customer_id
    from revenue.mrr_spells
    where policy = %(policy)s
) as s
left join stripe.customers as c
    on s.account_id = c.account_id and s.customer_id = c.id and c.livemode = %(livemode)s
