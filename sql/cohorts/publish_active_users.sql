-- Writes the rows of one question that are new or differ; equal rows are left alone.
insert into cohorts.active_users as t (metric, grain, period_start, segment_by, segment, users, user_days, days, average_dau, rate, truncated, state, published_at)
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
    state,
    %(now)s
from growth_staging
on conflict (metric, period_start, segment_by, segment) do update set
    grain = excluded.grain,
    users = excluded.users,
    user_days = excluded.user_days,
    days = excluded.days,
    average_dau = excluded.average_dau,
    rate = excluded.rate,
    truncated = excluded.truncated,
    state = excluded.state,
    published_at = excluded.published_at
where
    (t.grain, t.users, t.user_days, t.days, t.average_dau, t.rate, t.truncated, t.state)
    is distinct from (excluded.grain, excluded.users, excluded.user_days, excluded.days, excluded.average_dau, excluded.rate, excluded.truncated, excluded.state)
