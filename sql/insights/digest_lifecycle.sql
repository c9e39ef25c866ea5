-- Grain: one closed calendar week of all users, the newest last.
select
    l.period_start,
    l.active_users,
    l.new_users,
    l.returning_users,
    l.resurrecting_users,
    l.dormant_users
from cohorts.lifecycle as l
where
    l.grain = 'week'
    and l.segment_by = ''
    and l.state = 'closed'
    and l.period_start >= %(first_day)s
    and l.period_start + 7 <= %(end_day)s
order by l.period_start
