-- Writes the rows of one question that are new or differ; equal rows are left alone.
insert into cohorts.funnels as t (funnel, grain, period_start, segment_by, segment, stage, step, users, from_first, from_previous, dropoff, median_seconds, state, published_at)
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
    state,
    %(now)s
from growth_staging
on conflict (funnel, grain, period_start, segment_by, segment, stage) do update set
    step = excluded.step,
    users = excluded.users,
    from_first = excluded.from_first,
    from_previous = excluded.from_previous,
    dropoff = excluded.dropoff,
    median_seconds = excluded.median_seconds,
    state = excluded.state,
    published_at = excluded.published_at
where
    (t.step, t.users, t.from_first, t.from_previous, t.dropoff, t.median_seconds, t.state)
    is distinct from (excluded.step, excluded.users, excluded.from_first, excluded.from_previous, excluded.dropoff, excluded.median_seconds, excluded.state)
