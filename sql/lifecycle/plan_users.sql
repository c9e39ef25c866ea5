-- Grain: one user of whom journeys may have something to do: a change of stage that was decided since
-- an instant, a step that is due, or an event that begins or ends a journey and was received since.
select user_number
from lifecycle.transitions
where superseded_at is null and decided_at >= %(since)s and day >= %(oldest)s
union
select user_number
from lifecycle.enrolments
where state = 'active' and next_at <= %(now)s
union
select n.user_number
from activity.source_events as s
left join activity.merged_ids as m on m.merged_key = sha256(convert_to(s.user_id, 'UTF8'))
inner join activity.user_numbers as n
    on n.user_key = coalesce(m.user_key, sha256(convert_to(s.user_id, 'UTF8')))
where
    s.event = any(%(events)s::text [])
    and (s.received_at >= %(since)s or (s.received_at is null and s.occurred_at >= %(since)s::timestamptz - interval '2 days'))
order by user_number
