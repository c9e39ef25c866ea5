-- Figures of the newest closed months of a policy that pictures show, whole and by plan.
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
    and f.reporting_currency = ''
    and f.segment_by = %(segment_by)s
    and f.metric = any(%(metrics)s::text [])
    and f.state = 'closed'
    and f.period_start > (
        select max(o.period_start) - make_interval(months => %(months)s)
        from revenue.figures as o
        where o.policy = %(policy)s and o.grain = 'month'
    )
order by f.currency, f.period_start, f.metric, f.segment nulls last
