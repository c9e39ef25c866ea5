-- One row per event of these local days before as_of: the user's number (null: nobody knows the
-- user), the local day, whether the user counts. Anonymous ids are merged first.
select
    n.user_number,
    ((s.occurred_at at time zone %(tz)s)::date - date '1970-01-01')::int4 as day,
    x.user_key is not null as excluded
from activity.source_events as s
left join activity.merged_ids as m on m.merged_key = sha256(convert_to(s.user_id, 'UTF8'))
left join activity.user_numbers as n
    on n.user_key = coalesce(m.user_key, sha256(convert_to(s.user_id, 'UTF8')))
left join activity.excluded_users as x
    on x.user_key = coalesce(m.user_key, sha256(convert_to(s.user_id, 'UTF8')))
where
    s.occurred_at >= %(first)s::date::timestamp at time zone %(tz)s - interval '1 day'
    and s.occurred_at < %(last)s::date::timestamp at time zone %(tz)s + interval '2 days'
    and (s.occurred_at at time zone %(tz)s)::date between %(first)s::date and %(last)s::date
    and s.occurred_at < %(as_of)s
    and (%(events)s::text[] is null or s.event = any(%(events)s::text[]))
