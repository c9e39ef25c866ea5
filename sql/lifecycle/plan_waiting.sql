-- Grain: one message that is due and was not sent yet, with the zone of its user.
select
    o.message_id,
    z.tz,
    o.quiet_at
from lifecycle.outbox as o
left join lifecycle.zones as z on o.user_number = z.user_number
where o.state = 'pending' and o.due_at <= %(now)s
order by o.message_id
