-- Writes the staged figures of a policy that are new or differ; equal rows are left alone, with their
-- receipt. In Postgres.
insert into revenue.figures as t (
    metric, policy, grain, period_start, currency, segment_by, segment, value, unit, numerator,
    denominator, state, reason, sample_size, as_of, published_at
)
select
    metric,
    policy,
    grain,
    period_start,
    currency,
    segment_by,
    segment,
    value,
    unit,
    numerator,
    denominator,
    state,
    reason,
    sample_size,
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
    as_of = excluded.as_of,
    receipt_id = null,
    published_at = excluded.published_at
where
    (t.value, t.unit, t.numerator, t.denominator, t.state, t.reason, t.sample_size)
    is distinct from
    (excluded.value, excluded.unit, excluded.numerator, excluded.denominator, excluded.state, excluded.reason, excluded.sample_size)
