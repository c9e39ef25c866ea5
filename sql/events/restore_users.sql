-- A user who is at the source again has the id again; the number was never given to another.
update activity.user_numbers as n
set
    user_id = s.user_id,
    deleted_at = null
from activity.source_users as s
where n.deleted_at is not null and n.user_key = sha256(convert_to(s.user_id, 'UTF8'))
