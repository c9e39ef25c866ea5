-- Staged cells that are new or differ from what is published; equal rows are left alone. Said once more
-- which cohorts are staged, so that no others are read.
insert into cohorts.retention_metrics (
    entry,
    grain,
    segment_by,
    cohort_start,
    segment,
    period_index,
    currency,
    cohort_size,
    users,
    rate,
    rate_low,
    rate_high,
    events,
    state,
    final,
    revenue_minor,
    revenue,
    revenue_per_customer_minor,
    revenue_per_customer,
    cumulative_revenue_minor,
    cumulative_revenue,
    cumulative_per_customer_minor,
    cumulative_per_customer,
    logo_churn,
    revenue_churn,
    nrr,
    published_at
)
select
    s.entry,
    s.grain,
    s.segment_by,
    s.cohort_start,
    s.segment,
    s.period_index,
    s.currency,
    s.cohort_size,
    s.users,
    s.rate,
    s.rate_low,
    s.rate_high,
    s.events,
    s.state,
    s.final,
    s.revenue_minor,
    s.revenue,
    s.revenue_per_customer_minor,
    s.revenue_per_customer,
    s.cumulative_revenue_minor,
    s.cumulative_revenue,
    s.cumulative_per_customer_minor,
    s.cumulative_per_customer,
    s.logo_churn,
    s.revenue_churn,
    s.nrr,
    %(now)s
from growth_staging as s
left join cohorts.retention_metrics as m
    on
        m.entry = %(entry)s
        and m.grain = %(grain)s
        and m.segment_by = %(segment_by)s
        and m.cohort_start = any(%(cohorts)s::date[])
        and s.entry = m.entry
        and s.grain = m.grain
        and s.segment_by = m.segment_by
        and s.cohort_start = m.cohort_start
        and s.period_index = m.period_index
        and s.segment is not distinct from m.segment
        and s.currency is not distinct from m.currency
where
    m.entry is null
    or (
        s.cohort_size,
        s.users,
        s.rate,
        s.rate_low,
        s.rate_high,
        s.events,
        s.state,
        s.final,
        s.revenue_minor,
        s.revenue,
        s.revenue_per_customer_minor,
        s.revenue_per_customer,
        s.cumulative_revenue_minor,
        s.cumulative_revenue,
        s.cumulative_per_customer_minor,
        s.cumulative_per_customer,
        s.logo_churn,
        s.revenue_churn,
        s.nrr
    )
    is distinct from (
        m.cohort_size,
        m.users,
        m.rate,
        m.rate_low,
        m.rate_high,
        m.events,
        m.state,
        m.final,
        m.revenue_minor,
        m.revenue,
        m.revenue_per_customer_minor,
        m.revenue_per_customer,
        m.cumulative_revenue_minor,
        m.cumulative_revenue,
        m.cumulative_per_customer_minor,
        m.cumulative_per_customer,
        m.logo_churn,
        m.revenue_churn,
        m.nrr
    )
order by s.cohort_start, s.period_index
on conflict (entry, grain, segment_by, cohort_start, period_index, segment, currency) do update set
cohort_size = excluded.cohort_size,
users = excluded.users,
rate = excluded.rate,
rate_low = excluded.rate_low,
rate_high = excluded.rate_high,
events = excluded.events,
state = excluded.state,
final = excluded.final,
revenue_minor = excluded.revenue_minor,
revenue = excluded.revenue,
revenue_per_customer_minor = excluded.revenue_per_customer_minor,
revenue_per_customer = excluded.revenue_per_customer,
cumulative_revenue_minor = excluded.cumulative_revenue_minor,
cumulative_revenue = excluded.cumulative_revenue,
cumulative_per_customer_minor = excluded.cumulative_per_customer_minor,
cumulative_per_customer = excluded.cumulative_per_customer,
logo_churn = excluded.logo_churn,
revenue_churn = excluded.revenue_churn,
nrr = excluded.nrr,
published_at = excluded.published_at
