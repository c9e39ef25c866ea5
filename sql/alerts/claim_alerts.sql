-- Grain: one claimed alert. Why "skip locked": two deliverers never take the same alert.
with next_alerts as (
    select alert_id
    from alerts.outbox
    where channel = %(channel)s and state = 'pending' and not (alert_id = any(%(without)s::bigint[]))
    order by alert_id
    limit %(limit)s
    for update skip locked
),

claimed as (
    update alerts.outbox as o
    set state = 'sending', attempts = o.attempts + 1, claimed_at = %(now)s
    from next_alerts
    where o.alert_id = next_alerts.alert_id
    returning o.alert_id, o.alert_key, o.channel, o.kind, o.fingerprint, o.title, o.body
)

select
    claimed.alert_id,
    claimed.alert_key,
    claimed.kind,
    claimed.fingerprint,
    claimed.title,
    claimed.body,
    (
        select o.external_id
        from alerts.outbox as o
        where
            o.fingerprint = claimed.fingerprint and o.channel = claimed.channel
            and o.external_id is not null
        order by o.alert_id desc
        limit 1
    ) as known_as
from claimed
order by claimed.alert_id
