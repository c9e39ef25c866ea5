-- Grain: one local day and currency with a settled payment in the books, of these accounts and mode.
select
    (p.created_at at time zone %(tz)s)::date as day,
    p.currency,
    count(*) as payments,
    sum(p.amount_minor)::bigint as gross_minor
from billing.payments as p
where
    p.account_id = any(%(accounts)s)
    and p.livemode = %(livemode)s
    and p.status = 'succeeded'
    and p.captured
    and p.created_at >= %(start_at)s
    and p.created_at < %(end_at)s
group by 1, 2
