-- Grain: one channel that has something due and may be called. An unknown outcome is due after a while.
select distinct o.channel
from alerts.outbox as o
left join alerts.channels as c on o.channel = c.channel
where
    (o.due_at is null or o.due_at <= %(now)s)
    and (c.blocked_until is null or c.blocked_until <= %(now)s)
    and (o.state = 'pending' or (o.state in ('sending', 'unknown') and o.claimed_at < %(lost_before)s))
order by o.channel
