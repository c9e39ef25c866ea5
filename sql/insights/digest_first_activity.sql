-- Grain: one row: the first day of which active users are published; null for none.
select min(a.period_start) as first_day
from cohorts.active_users as a
where a.segment_by = '' and a.metric = 'dau' and a.state = 'closed'
