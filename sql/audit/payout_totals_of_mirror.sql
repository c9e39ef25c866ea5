-- Grain: one currency of the mirror's payouts created in [start, end); those that failed or were
-- canceled moved no money. Runs in Postgres.
select
    currency,
    count(*) as payouts,
    coalesce(sum(amount) filter (where status not in ('failed', 'canceled')), 0)::int8
        as paid_out_minor
from stripe.payouts
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and created_at >= %(start)s
    and created_at < %(end)s
group by currency
