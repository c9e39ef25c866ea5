-- Grain: one user id of events received since an instant. Whatever is read twice changes nothing.
insert into activity.told_users as stored (user_key, user_id, signed_up_at, created_at, email)
select
    sha256(convert_to(e.user_id, 'UTF8')),
    e.user_id,
    min(e.occurred_at) filter (where e.event in ('User Signed Up', 'Signed Up')),
    min(activity.read_instant(coalesce(e.properties -> 'createdAt', e.properties -> 'created_at')))
        filter (where e.type = 'identify'),
    (
        array_agg(e.properties ->> 'email' order by e.received_at desc, e.message_id)
        filter (where e.type = 'identify' and e.properties ->> 'email' is not null)
    )[1]
from events.events as e
where e.received_at >= %(since)s and e.user_id is not null
group by e.user_id
on conflict (user_key) do update set
signed_up_at = least(stored.signed_up_at, excluded.signed_up_at),
created_at = least(stored.created_at, excluded.created_at),
email = coalesce(excluded.email, stored.email)
where
    (stored.signed_up_at, stored.created_at, stored.email) is distinct from (
        least(stored.signed_up_at, excluded.signed_up_at),
        least(stored.created_at, excluded.created_at),
        coalesce(excluded.email, stored.email)
    )
