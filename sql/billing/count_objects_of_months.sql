-- Grain: one kind of object and month (UTC) of a scope, created in [start, end), with its number.
select
    object,
    to_char(created_at at time zone 'UTC', 'YYYY-MM') as month,
    count(*) as objects
from stripe.objects
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and created_at >= %(start)s
    and created_at < %(end)s
    and deleted_at is null
group by object, month
