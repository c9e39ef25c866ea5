-- Published rows of one question, in order.
select
    funnel,
    grain,
    period_start,
    segment_by,
    segment,
    stage,
    step,
    users,
    from_first,
    from_previous,
    dropoff,
    median_seconds,
    state
from cohorts.funnels
where
    funnel = %(name)s
    and segment_by = %(segment_by)s
order by grain, period_start, segment nulls last, stage
