-- Grain: one published figure of a policy, in its own currency and not split. In Postgres.
select
    grain,
    period_start,
    currency,
    metric,
    value,
    numerator,
    denominator,
    state,
    reason,
    as_of
from revenue.figures
where
    policy = %(policy)s
    and segment_by = ''
    and reporting_currency = ''
    and currency <> ''
    and (metric = any (%(metrics)s) or metric ~ '^[ng]rr(_[0-9]+)?$')
order by grain, period_start, currency, metric
