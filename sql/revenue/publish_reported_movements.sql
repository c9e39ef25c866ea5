-- Writes the staged movements in a reporting currency that are new or differ. In Postgres.
insert into revenue.mrr_movements as t (
    policy, grain, period_start, currency, reporting_currency, movement, amount_minor, customers, changes,
    state
)
select
    policy,
    grain,
    period_start,
    currency,
    reporting_currency,
    movement,
    amount_minor,
    customers,
    changes,
    state
from growth_staging
on conflict (policy, grain, period_start, currency, reporting_currency, segment_by, segment, movement, cause) do update set
    amount_minor = excluded.amount_minor,
    customers = excluded.customers,
    changes = excluded.changes,
    state = excluded.state
where
    (t.amount_minor, t.customers, t.changes, t.state)
    is distinct from (excluded.amount_minor, excluded.customers, excluded.changes, excluded.state)
