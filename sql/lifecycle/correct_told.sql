-- A sign-up that is told otherwise now, of the users whom calls received since an instant tell of.
update activity.user_numbers as n
set signed_up_at = s.signed_up_at
from (
    select
        user_id,
        min(signed_up_at) as signed_up_at
    from activity.source_users
    where
        user_id = any(array(
            select distinct e.user_id
            from events.events as e
            where e.received_at >= %(since)s and e.user_id is not null
        ))
        and signed_up_at is not null
    group by user_id
) as s
where
    n.user_key = sha256(convert_to(s.user_id, 'UTF8'))
    and n.deleted_at is null
    and n.signed_up_at is distinct from s.signed_up_at
