-- Grain: one user and local day with an event, of asked users; all that the source has of them.
-- Why the keys twice: bound as an array they are looked up in an index of the source; by the join
-- alone Postgres cannot tell how few they are, and reads every event there is.
create temporary table growth_told_days on commit drop as
select
    a.user_number,
    (s.occurred_at at time zone %(tz)s)::date as day,
    coalesce(
        array_agg(distinct s.event order by s.event) filter (where s.event = any(%(features)s::text [])), '{}'
    ) as features,
    coalesce(
        array_agg(distinct s.event order by s.event) filter (where s.event = any(%(milestones)s::text [])), '{}'
    ) as milestones
from unnest(%(numbers)s::int [], %(keys)s::bytea []) as a (user_number, key)
inner join activity.source_events as s on activity.user_key(s.user_id) = a.key
where
    activity.user_key(s.user_id) = any(%(keys)s::bytea [])
    and s.occurred_at is not null
group by 1, 2
