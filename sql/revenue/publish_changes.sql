-- Writes the staged changes of customers that are new or differ; equal rows are left alone. In Postgres.
insert into revenue.mrr_changes as t (
    policy, account_id, customer_id, currency, period_start, before_minor, now_minor, movement, cause,
    change_number
)
select
    policy,
    account_id,
    customer_id,
    currency,
    period_start,
    before_minor,
    now_minor,
    movement,
    cause,
    change_number
from growth_staging
on conflict (policy, period_start, account_id, customer_id, currency, change_number) do update set
    before_minor = excluded.before_minor,
    now_minor = excluded.now_minor,
    movement = excluded.movement,
    cause = excluded.cause
where
    (t.before_minor, t.now_minor, t.movement, t.cause)
    is distinct from (excluded.before_minor, excluded.now_minor, excluded.movement, excluded.cause)
