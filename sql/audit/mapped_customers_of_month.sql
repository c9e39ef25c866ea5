-- Grain: one customer of the month that a living user belongs to. Runs in Postgres.
-- Why by pages: a company can have more users than fit into memory.
-- Why by the user where the mirror does not know the customer: then nobody tells when it was made.
select
    u.customer_id as id,
    min(u.user_id) as user_id,
    count(*)::bigint as users,
    bool_or(c.id is not null) as is_mirrored,
    extract(epoch from max(c.deleted_at))::bigint as deleted_at
from billing.user_customers as u
left join stripe.customers as c
    on
        u.account_id = c.account_id
        and u.livemode = c.livemode
        and u.customer_id = c.id
where
    u.account_id = %(account_id)s
    and u.livemode = %(livemode)s
    and u.customer_id > %(after)s
    and u.deleted_at is null
    and coalesce(c.created_at, u.written_at) >= to_timestamp(%(start)s)
    and coalesce(c.created_at, u.written_at) < to_timestamp(%(end)s)
group by u.customer_id
order by u.customer_id
limit %(rows)s
