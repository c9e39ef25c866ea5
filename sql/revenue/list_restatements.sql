-- Grain: one later change of a customer's published month, newest first. In Postgres.
select
    policy,
    account_id,
    customer_id,
    currency,
    period_start,
    before_minor,
    now_minor,
    told_by,
    known_before,
    known_at
from revenue.restatements
where policy = %(policy)s and (%(month)s::date is null or period_start = %(month)s)
order by known_at desc, period_start desc, account_id, customer_id, currency
