-- Grain: one claimed alert. Why "skip locked": two deliverers never take the same alert. In a
-- channel with threads one call is about one problem, and waits until its last call is settled.
with waiting as (
    select alert_id, fingerprint
    from alerts.outbox as o
    where
        o.channel = %(channel)s
        and (
            o.state = 'pending'
            or (o.state = 'unknown' and o.claimed_at < %(repeat_before)s::timestamptz)
        )
        and (o.due_at is null or o.due_at <= %(now)s)
        and not (o.alert_id = any(%(without)s::bigint[]))
        and not (
            %(threads)s
            and exists (
                select 1
                from alerts.outbox as s
                where
                    s.channel = o.channel and s.fingerprint = o.fingerprint
                    and s.state in ('sending', 'unknown')
            )
        )
),

next_alerts as (
    select o.alert_id, o.state = 'unknown' as repeated
    from alerts.outbox as o
    where
        o.alert_id in (
            select w.alert_id
            from waiting as w
            where
                not %(threads)s
                or w.fingerprint = (select f.fingerprint from waiting as f order by f.alert_id limit 1)
            order by w.alert_id
            limit %(limit)s
        )
    order by o.alert_id
    for update skip locked
),

claimed as (
    update alerts.outbox as o
    set state = 'sending', attempts = o.attempts + 1, claimed_at = %(now)s
    from next_alerts
    where o.alert_id = next_alerts.alert_id and o.state in ('pending', 'unknown')
    returning
        o.alert_id, o.alert_key, o.channel, o.kind, o.fingerprint, o.title, o.body, o.level,
        o.claimed_at, o.picture, next_alerts.repeated
)

select
    claimed.alert_id,
    claimed.alert_key,
    claimed.kind,
    claimed.fingerprint,
    claimed.title,
    claimed.body,
    claimed.level,
    (
        select o.external_id
        from alerts.outbox as o
        where
            o.fingerprint = claimed.fingerprint and o.channel = claimed.channel
            and o.external_id is not null
        order by o.alert_id desc
        limit 1
    ) as known_as,
    claimed.repeated,
    claimed.claimed_at,
    claimed.picture
from claimed
order by claimed.alert_id
