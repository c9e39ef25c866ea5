-- Published rows of one question, in order.
select
    metric,
    grain,
    period_start,
    segment_by,
    segment,
    users,
    user_days,
    days,
    average_dau,
    rate,
    truncated,
    state
from cohorts.active_users
where
    segment_by = %(segment_by)s
order by metric, period_start, segment nulls last
