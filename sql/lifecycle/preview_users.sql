-- Grain: one user with a change of stage, or an event that a journey looks at, in local days.
select user_number
from lifecycle.transitions
where superseded_at is null and day between %(first)s and %(last)s
union
select n.user_number
from activity.source_events as s
left join activity.merged_ids as m on m.merged_key = sha256(convert_to(s.user_id, 'UTF8'))
inner join activity.user_numbers as n
    on n.user_key = coalesce(m.user_key, sha256(convert_to(s.user_id, 'UTF8')))
where
    s.event = any(%(events)s::text [])
    and s.occurred_at >= %(first)s::date::timestamp at time zone %(tz)s
    and s.occurred_at < (%(last)s::date + 1)::timestamp at time zone %(tz)s
order by user_number
