-- A user who is gone from the source stays as a number; the id goes. Never when the source is empty:
-- that is a source that cannot be read, not a company without users.
update activity.user_numbers as n
set
    user_id = null,
    deleted_at = %(now)s
where
    n.deleted_at is null
    and exists (select 1 from activity.source_users where user_id is not null)
    and not exists (select 1 from activity.source_users as s where s.user_id = n.user_id)
