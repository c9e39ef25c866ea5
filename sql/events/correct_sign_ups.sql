-- A sign-up that the source tells otherwise now: told late, or corrected. Unknown replaces nothing.
update activity.user_numbers as n
set signed_up_at = s.signed_up_at
from (
    select
        user_id,
        min(signed_up_at) as signed_up_at
    from activity.source_users
    where user_id is not null and signed_up_at is not null
    group by user_id
) as s
where n.user_id = s.user_id and n.signed_up_at is distinct from s.signed_up_at
