-- Grain: one event of asked users that journeys look at.
-- Why the keys twice: see stage_user_days.sql.
select
    a.user_number,
    s.event,
    s.occurred_at
from unnest(%(numbers)s::int [], %(keys)s::bytea []) as a (user_number, key)
inner join activity.source_events as s on activity.user_key(s.user_id) = a.key
where
    activity.user_key(s.user_id) = any(%(keys)s::bytea [])
    and s.event = any(%(events)s::text [])
    and s.occurred_at >= %(oldest)s
order by a.user_number, s.occurred_at
