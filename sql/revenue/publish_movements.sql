-- Writes the staged movements of a policy that are new or differ; equal rows are left alone. In Postgres.
insert into revenue.mrr_movements as t (
    policy, grain, period_start, currency, segment_by, segment, movement, cause,
    amount_minor, customers, changes, currency_switches, state
)
select
    policy,
    grain,
    period_start,
    currency,
    segment_by,
    segment,
    movement,
    cause,
    amount_minor,
    customers,
    changes,
    currency_switches,
    state
from growth_staging
on conflict (policy, grain, period_start, currency, reporting_currency, segment_by, segment, movement, cause) do update set
    amount_minor = excluded.amount_minor,
    customers = excluded.customers,
    changes = excluded.changes,
    currency_switches = excluded.currency_switches,
    state = excluded.state
where
    (t.amount_minor, t.customers, t.changes, t.currency_switches, t.state)
    is distinct from
    (excluded.amount_minor, excluded.customers, excluded.changes, excluded.currency_switches, excluded.state)
