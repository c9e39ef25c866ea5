-- Grain: one user whose calls received since an instant name a time zone; the newest counts.
select distinct on (n.user_number)
    n.user_number,
    coalesce(
        convert_from(e.body, 'UTF8')::json -> 'context' ->> 'timezone',
        e.properties ->> 'timezone'
    ) as zone
from events.events as e
inner join activity.user_numbers as n on n.user_key = sha256(convert_to(e.user_id, 'UTF8'))
where
    e.received_at >= %(since)s
    and e.user_id is not null
    and position('"timezone"'::bytea in e.body) > 0
    and position('\u0000'::text in convert_from(e.body, 'UTF8')) = 0
order by n.user_number, e.received_at desc, e.source_id, e.message_id
