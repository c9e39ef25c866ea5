-- Writes the rows of one question that are new or differ; equal rows are left alone.
insert into cohorts.lifecycle as t (grain, period_start, segment_by, segment, active_users, new_users, returning_users, resurrecting_users, dormant_users, state, published_at)
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
    state,
    %(now)s
from growth_staging
on conflict (grain, period_start, segment_by, segment) do update set
    active_users = excluded.active_users,
    new_users = excluded.new_users,
    returning_users = excluded.returning_users,
    resurrecting_users = excluded.resurrecting_users,
    dormant_users = excluded.dormant_users,
    state = excluded.state,
    published_at = excluded.published_at
where
    (t.active_users, t.new_users, t.returning_users, t.resurrecting_users, t.dormant_users, t.state)
    is distinct from (excluded.active_users, excluded.new_users, excluded.returning_users, excluded.resurrecting_users, excluded.dormant_users, excluded.state)
