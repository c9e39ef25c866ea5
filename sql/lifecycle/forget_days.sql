-- Removes all days of asked users.
delete from lifecycle.user_days
where user_number = any(%(users)s::int [])
