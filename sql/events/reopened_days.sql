-- Grain: one local day with events of users who count otherwise than at the last reading: merged,
-- excluded or numbered since. What the last reading itself did (at its own instant) it has read.
-- Keys as one array, which Postgres hands down into the views and to the indexes by user below them; a
-- join it would not.
with changed as materialized (
    select merged_key as user_key
    from activity.merged_ids
    where merged_at >= %(since)s and merged_at is distinct from %(at)s::timestamptz
    union
    select user_key
    from activity.excluded_users
    where excluded_at >= %(since)s
    union
    select user_key
    from activity.user_numbers
    where numbered_at >= %(since)s and numbered_at is distinct from %(at)s::timestamptz
),

keys as materialized (
    select user_key
    from changed
    union
    select m.merged_key
    from activity.merged_ids as m
    inner join changed as c on c.user_key = m.user_key
)

select distinct (s.occurred_at at time zone %(tz)s)::date as day
from activity.source_events as s
where
    activity.user_key(s.user_id) = any(array(select k.user_key from keys as k))
    and s.occurred_at >= '1900-01-01Z'
    and s.occurred_at < %(as_of)s
order by day
