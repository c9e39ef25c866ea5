-- One row per kind of published movements that cannot be. In Postgres. Contract: docs/metrics.md,
-- "Published movements".
with ends as (
    select
        policy,
        grain,
        period_start,
        currency,
        segment_by,
        segment,
        max(value) filter (where metric = 'mrr') as mrr,
        max(value) filter (where metric = 'mrr_start') as mrr_start,
        max(value) filter (where metric = 'customers') as customers,
        max(value) filter (where metric = 'customers_start') as customers_start
    from revenue.figures
    where
        policy = any(%(policies)s::text [])
        and reporting_currency = ''
        and metric in ('mrr', 'mrr_start', 'customers', 'customers_start')
    group by policy, grain, period_start, currency, segment_by, segment
),

moved as (
    select
        policy,
        grain,
        period_start,
        currency,
        segment_by,
        segment,
        sum(amount_minor) filter (where cause = '') as amount,
        sum(
            case
                when movement in ('new', 'reactivation', 'resumed') then changes
                when movement in ('churn', 'paused') then -changes
            end
        ) filter (where cause = '') as customers,
        coalesce(sum(amount_minor) filter (where movement = 'churn' and cause = ''), 0)
        - coalesce(sum(amount_minor) filter (where cause <> ''), 0) as uncaused
    from revenue.mrr_movements
    where policy = any(%(policies)s::text []) and reporting_currency = ''
    group by policy, grain, period_start, currency, segment_by, segment
),

whole as (
    select
        e.*,
        m.amount,
        m.customers as came,
        m.uncaused,
        lag(e.mrr) over w as ended_mrr,
        lag(e.customers) over w as ended_customers
    from ends as e
    inner join moved as m using (policy, grain, period_start, currency, segment_by)
    where e.segment_by = '' and e.segment is null and m.segment is null
    window w as (partition by e.policy, e.grain, e.currency order by e.period_start)
),

segmented as (
    select
        policy,
        grain,
        period_start,
        currency,
        segment_by,
        sum(mrr) as mrr,
        sum(customers) as customers
    from ends
    where segment_by <> ''
    group by policy, grain, period_start, currency, segment_by
    having count(mrr) > 0
),

moved_by_segment as (
    select
        policy,
        grain,
        period_start,
        currency,
        segment_by,
        sum(amount) as amount
    from moved
    where segment_by <> ''
    group by policy, grain, period_start, currency, segment_by
    having count(amount) > 0
),

faults as (
    select
        'start_plus_movements_is_end' as rule,
        policy,
        grain,
        period_start,
        currency
    from whole
    where mrr_start + amount <> mrr or customers_start + came <> customers
    union all
    select
        'a_period_starts_where_the_one_before_ended' as rule,
        policy,
        grain,
        period_start,
        currency
    from whole
    where mrr_start <> ended_mrr or customers_start <> ended_customers
    union all
    select
        'mrr_is_never_below_zero' as rule,
        policy,
        grain,
        period_start,
        currency
    from ends
    where mrr < 0 or customers < 0
    union all
    select
        'causes_and_segments_add_up' as rule,
        policy,
        grain,
        period_start,
        currency
    from moved
    where uncaused <> 0
    union all
    select
        'causes_and_segments_add_up' as rule,
        s.policy,
        s.grain,
        s.period_start,
        s.currency
    from segmented as s
    inner join whole as w using (policy, grain, period_start, currency)
    where s.mrr <> w.mrr or s.customers <> w.customers
    union all
    select
        'causes_and_segments_add_up' as rule,
        s.policy,
        s.grain,
        s.period_start,
        s.currency
    from moved_by_segment as s
    inner join whole as w using (policy, grain, period_start, currency)
    where s.amount <> w.amount
    union all
    select
        'customers_add_up_to_movements' as rule,
        w.policy,
        w.grain,
        w.period_start,
        w.currency
    from whole as w
    left join (
        select
            policy,
            period_start,
            currency,
            sum(now_minor - before_minor) as amount
        from revenue.mrr_changes
        group by policy, period_start, currency
    ) as c using (policy, period_start, currency)
    where w.grain = 'month' and w.amount is not null and w.amount <> coalesce(c.amount, 0)
    union all
    select
        'days_and_months_agree' as rule,
        w.policy,
        w.grain,
        w.period_start,
        w.currency
    from whole as w
    inner join revenue.policies as p on w.policy = p.policy
    left join revenue.mrr_daily as d
        on
            w.policy = d.policy
            and w.currency = d.currency
            and d.day = (w.period_start + interval '1 month' - interval '1 day')::date
    where
        w.grain = 'month'
        and p.options ->> 'snapshot' = 'last'
        and w.mrr is not null
        and w.mrr <> coalesce(d.mrr_minor, case when d.day is null then 0 end)
)

select
    rule,
    count(*) as times,
    min(policy || ' ' || grain || ' ' || period_start || ' ' || currency) as example
from faults
group by rule
order by rule
