-- Grain: one funnel, closed week of the first stage and stage, of all users.
select f.funnel, f.period_start, f.stage, f.step, f.users, f.from_first
from cohorts.funnels as f
where
    f.grain = 'week'
    and f.segment_by = ''
    and f.state = 'closed'
    and f.period_start + 7 <= %(end_day)s
    and f.period_start >= %(first_day)s
order by f.funnel, f.period_start, f.stage
