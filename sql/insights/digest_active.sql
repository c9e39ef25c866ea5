-- Grain: one day and metric (dau, wau, mau) of all users.
select a.metric, a.period_start as day, a.users, a.truncated
from cohorts.active_users as a
where
    a.segment_by = ''
    and a.metric in ('dau', 'wau', 'mau')
    and a.period_start >= %(first_day)s
    and a.period_start < %(end_day)s
    and a.state = 'closed'
