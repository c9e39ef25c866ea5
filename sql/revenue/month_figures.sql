-- Published figures of some months under a policy, in one view: in their own currencies, or in a
-- reporting currency; whole, or split by one property. Contract: docs/metrics.md, "Published figures".
select
    f.metric,
    f.period_start,
    f.currency,
    f.reporting_currency,
    f.segment,
    f.value,
    f.unit,
    f.numerator,
    f.denominator,
    f.state,
    f.reason,
    f.sample_size,
    f.rates,
    f.as_of,
    f.receipt_id
from revenue.figures as f
where
    f.policy = %(policy)s
    and f.grain = 'month'
    and f.period_start = any(%(months)s::date [])
    and f.segment_by = %(segment_by)s
    and f.reporting_currency = %(reporting_currency)s
    and (%(currency)s::text is null or f.currency = %(currency)s)
order by f.currency, f.segment nulls last, f.metric, f.period_start
