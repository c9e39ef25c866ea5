-- Grain: one live subscription that the mirror has of the month. Runs in Postgres.
select id
from stripe.subscriptions
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and created_at >= to_timestamp(%(start)s)
    and created_at < to_timestamp(%(end)s)
    and deleted_at is null
    and status in ('trialing', 'active', 'past_due', 'unpaid', 'paused')
order by id
