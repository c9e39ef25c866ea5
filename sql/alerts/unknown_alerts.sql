-- Grain: one alert whose call had no answer; it may have arrived.
select
    u.alert_id,
    u.alert_key,
    u.kind,
    u.fingerprint,
    u.title,
    u.body,
    u.level,
    (
        select o.external_id
        from alerts.outbox as o
        where
            o.fingerprint = u.fingerprint and o.channel = u.channel
            and o.external_id is not null
        order by o.alert_id desc
        limit 1
    ) as known_as,
    false as repeated,
    u.claimed_at
from alerts.outbox as u
where
    u.channel = %(channel)s and u.state = 'unknown'
    and (%(claimed_by)s::timestamptz is null or u.claimed_at <= %(claimed_by)s)
order by u.alert_id
