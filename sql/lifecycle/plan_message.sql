-- A message that is to be written; one that was ever there stays as it is.
insert into lifecycle.outbox (
    user_key, user_number, message, journey, version, step, action, target, priority, basis,
    trigger_at, due_at, late_at, quiet_at
)
values (
    %(user_key)s, %(user_number)s, %(message)s, %(journey)s, %(version)s, %(step)s, %(action)s,
    %(target)s, %(priority)s, %(basis)s, %(trigger_at)s, %(due_at)s, %(late_at)s,
    %(quiet_at)s
)
on conflict (user_key, message) do nothing
