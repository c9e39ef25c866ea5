-- Writes the staged figures in a reporting currency that are new or differ. In Postgres.
insert into revenue.figures as t (
    metric, policy, grain, period_start, reporting_currency, value, unit, numerator, denominator, state,
    reason, sample_size, rates, as_of, published_at
)
select
    metric,
    policy,
    grain,
    period_start,
    reporting_currency,
    value,
    unit,
    numerator,
    denominator,
    state,
    reason,
    sample_size,
    rates,
    as_of,
    %(now)s
from growth_staging
on conflict (metric, policy, grain, period_start, currency, reporting_currency, segment_by, segment) do update set
    value = excluded.value,
    unit = excluded.unit,
    numerator = excluded.numerator,
    denominator = excluded.denominator,
    state = excluded.state,
    reason = excluded.reason,
    sample_size = excluded.sample_size,
    rates = excluded.rates,
    as_of = excluded.as_of,
    receipt_id = null,
    published_at = excluded.published_at
where
    (t.value, t.numerator, t.denominator, t.state, t.reason, t.sample_size, t.rates)
    is distinct from
    (excluded.value, excluded.numerator, excluded.denominator, excluded.state, excluded.reason, excluded.sample_size, excluded.rates)
