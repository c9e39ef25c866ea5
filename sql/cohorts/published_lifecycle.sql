-- Published rows of one question, in order.
select
    grain,
    period_start,
    segment_by,
    segment,
    active_users,
    new_users,
    returning_users,
    resurrecting_users,
    dormant_users,
    state
from cohorts.lifecycle
where
    segment_by = %(segment_by)s
order by grain, period_start, segment nulls last
