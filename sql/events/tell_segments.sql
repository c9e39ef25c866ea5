-- Grain: one property of one user id of identify calls received since an instant. The first value
-- counts; whatever is read twice changes nothing.
insert into activity.told_segments (user_key, segment_by, segment, told_at)
select distinct on (e.user_id)
    activity.user_key(e.user_id),
    %(segment_by)s,
    activity.read_segment(e.properties -> %(segment_by)s::text),
    e.received_at
from events.events as e
where
    e.received_at >= %(since)s
    and e.type = 'identify'
    and e.user_id is not null
    and activity.read_segment(e.properties -> %(segment_by)s::text) is not null
order by e.user_id, e.received_at, e.message_id
on conflict (user_key, segment_by) do nothing
