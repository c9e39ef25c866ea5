-- Gives each user of the source a number who has none, in order of sign-up; ids as text.
insert into activity.user_numbers (user_key, user_id, signed_up_at, numbered_at)
select
    sha256(convert_to(s.user_id, 'UTF8')),
    s.user_id,
    s.signed_up_at,
    %(now)s
from activity.source_users as s
where
    s.user_id is not null
    and not exists (
        select 1 from activity.user_numbers as n
        where n.user_key = sha256(convert_to(s.user_id, 'UTF8'))
    )
order by s.signed_up_at nulls last, s.user_id
on conflict (user_key) do nothing
