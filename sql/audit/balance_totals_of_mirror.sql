-- Grain: one currency of the mirror's balance transactions created in [start, end). In Postgres.
select
    currency,
    count(*) as transactions,
    sum(net)::int8 as net_minor
from stripe.balance_transactions
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and created_at >= %(start)s
    and created_at < %(end)s
group by currency
