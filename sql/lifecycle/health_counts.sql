-- Grain: one row: messages of the last 30 days, how many of their addresses bounced or complained
-- since, and messages of which nobody can tell.
select
    count(*) filter (where o.state = 'sent' and o.sent_at > clock_timestamp() - interval '30 days') as sent,
    (
        select count(*)
        from lifecycle.suppressions as s
        where
            s.reason = 'bounced'
            and s.since > clock_timestamp() - interval '30 days'
            and exists (select 1 from lifecycle.outbox as b where b.address_hash = s.address_hash and b.state = 'sent')
    ) as bounced,
    (
        select count(*)
        from lifecycle.suppressions as s
        where
            s.reason = 'complained'
            and s.since > clock_timestamp() - interval '30 days'
            and exists (select 1 from lifecycle.outbox as b where b.address_hash = s.address_hash and b.state = 'sent')
    ) as complained,
    count(*) filter (where o.state = 'unknown') as unknown,
    count(*) filter (where o.state = 'parked') as parked
from lifecycle.outbox as o
