-- Audit: settled money that the books give to [since, until). Grain: one currency. In Postgres.
select
    currency,
    count(*) as count,
    sum(amount_minor)::bigint as gross_minor,
    sum(refunded_minor)::bigint as refunded_minor,
    sum(disputed_minor)::bigint as disputed_minor
from billing.payments
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and created_at >= %(since)s
    and created_at < %(until)s
    and status = 'succeeded'
    and captured
group by currency
order by currency
