-- Grain: one published cell of a question, in order of cohort, segment, period and currency.
select
    cohort_start,
    cohort_size,
    period_index,
    users,
    rate::text as rate,
    events,
    revenue_minor,
    currency,
    state,
    segment,
    final,
    rate_low,
    rate_high,
    revenue::text as revenue,
    revenue_per_customer_minor,
    revenue_per_customer::text as revenue_per_customer,
    cumulative_revenue_minor,
    cumulative_revenue::text as cumulative_revenue,
    cumulative_per_customer_minor,
    cumulative_per_customer::text as cumulative_per_customer,
    logo_churn::text as logo_churn,
    revenue_churn::text as revenue_churn,
    nrr::text as nrr
from cohorts.retention_metrics
where entry = %(entry)s and grain = %(grain)s and segment_by = %(segment_by)s
order by cohort_start, segment nulls first, period_index, currency nulls first
