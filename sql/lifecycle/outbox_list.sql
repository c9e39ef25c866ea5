-- Grain: one message in some states, the newest first.
select
    o.message_id,
    n.user_id,
    o.message,
    o.state,
    o.reason,
    o.attempts,
    o.due_at,
    o.called_at,
    o.sent_at
from lifecycle.outbox as o
left join activity.user_numbers as n on o.user_number = n.user_number
where o.state = any(%(states)s::text [])
order by o.message_id desc
limit %(limit)s
