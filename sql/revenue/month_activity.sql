-- Active users, lifecycle and funnels of some months as figures, from the tables of the slice cohorts:
-- not split. wau is that of the month's last day. Contract: docs/metrics.md, "Published active users".
with told as (
    select
        case a.metric when 'mau_calendar' then 'mau' else a.metric end as metric,
        a.period_start,
        case a.metric when 'stickiness' then a.rate else a.users end as value,
        case a.metric when 'stickiness' then 'rate' else 'count' end as unit,
        a.state,
        a.users as sample_size,
        'active_users' as question,
        '' as name
    from cohorts.active_users as a
    where a.segment_by = '' and a.metric in ('mau_calendar', 'stickiness') and a.period_start = any(%(months)s::date [])
    union all
    select
        'dau_average',
        a.period_start,
        a.average_dau,
        'count',
        a.state,
        a.users,
        'active_users',
        ''
    from cohorts.active_users as a
    where a.segment_by = '' and a.metric = 'stickiness' and a.period_start = any(%(months)s::date [])
    union all
    select
        'wau',
        m.month,
        a.users,
        'count',
        a.state,
        a.users,
        'active_users',
        ''
    from cohorts.active_users as a
    inner join unnest(%(months)s::date []) as m (month) on a.period_start = (m.month + interval '1 month' - interval '1 day')::date
    where a.segment_by = '' and a.metric = 'wau'
    union all
    select
        k.metric,
        l.period_start,
        k.value,
        'count',
        l.state,
        l.active_users,
        'lifecycle',
        ''
    from cohorts.lifecycle as l
    cross join lateral (
        values
        ('new_users', l.new_users),
        ('returning_users', l.returning_users),
        ('resurrecting_users', l.resurrecting_users),
        ('dormant_users', l.dormant_users)
    ) as k (metric, value)
    where l.segment_by = '' and l.grain = 'month' and l.period_start = any(%(months)s::date [])
    union all
    select
        'funnel ' || f.funnel || ': ' || f.stage || '. ' || f.step,
        f.period_start,
        f.users,
        'count',
        f.state,
        f.users,
        'funnel',
        f.funnel
    from cohorts.funnels as f
    where f.segment_by = '' and f.grain = 'month' and f.period_start = any(%(months)s::date [])
    union all
    select
        'funnel ' || f.funnel || ': conversion',
        f.period_start,
        f.from_first,
        'rate',
        f.state,
        first_value(f.users) over (partition by f.funnel, f.period_start order by f.stage),
        'funnel',
        f.funnel
    from cohorts.funnels as f
    where
        f.segment_by = ''
        and f.grain = 'month'
        and f.period_start = any(%(months)s::date [])
        and f.stage = (select max(o.stage) from cohorts.funnels as o where o.funnel = f.funnel)
)

select
    t.metric,
    t.period_start,
    '' as currency,
    '' as reporting_currency,
    null as segment,
    t.value::numeric as value,
    t.unit,
    null::numeric as numerator,
    null::numeric as denominator,
    t.state,
    case when t.value is not null then null when t.state = 'closed' then 'no_base' else 'not_over' end as reason,
    t.sample_size,
    null::jsonb as rates,
    d.as_of,
    null as receipt_id
from told as t
inner join cohorts.activity_definitions as d
    on t.question = d.question and t.name = d.name and d.segment_by = ''
order by t.metric, t.period_start
