-- Removes users who have no stage (any more).
delete from lifecycle.users
where user_number = any(%(users)s::int [])
