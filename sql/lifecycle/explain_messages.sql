-- Grain: one message of a user, without any address.
select
    message_id,
    message,
    action,
    target,
    basis,
    state,
    reason,
    due_at,
    called_at,
    sent_at
from lifecycle.outbox
where user_number = %(user_number)s
order by message_id
