-- Grain: one message whose call was made while its address was suppressed.
select distinct o.message_id
from lifecycle.outbox as o
inner join lifecycle.suppressions as s on o.address_hash = s.address_hash
where
    o.called_at > s.since
    and o.state in ('sent', 'unknown', 'parked')
    and (s.lifted_at is null or o.called_at < s.lifted_at)
order by o.message_id
limit 20
