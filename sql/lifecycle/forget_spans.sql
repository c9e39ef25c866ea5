-- Removes the billing spans of asked users.
delete from lifecycle.billing_spans
where user_number = any(%(users)s::int [])
