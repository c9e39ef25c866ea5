-- Removes the last uses of asked users.
delete from lifecycle.last_uses
where user_number = any(%(users)s::int [])
