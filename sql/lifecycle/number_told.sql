-- Numbers the users of the source whom calls received since an instant tell of and who have none.
-- Why offset 0: each is looked up by its key; as a join, all users there are would be read.
with told as materialized (
    select distinct e.user_id
    from events.events as e
    where e.received_at >= %(since)s and e.user_id is not null
),

unknown as materialized (
    select t.user_id
    from told as t
    where
        not exists (
            select 1 from activity.user_numbers as n
            where n.user_key = sha256(convert_to(t.user_id, 'UTF8'))
            offset 0
        )
)

insert into activity.user_numbers (user_key, user_id, signed_up_at, numbered_at)
select distinct on (s.user_id)
    sha256(convert_to(s.user_id, 'UTF8')),
    s.user_id,
    s.signed_up_at,
    %(now)s
from unknown as u
inner join activity.source_users as s on u.user_id = s.user_id
order by s.user_id, s.signed_up_at nulls last
on conflict (user_key) do nothing
