-- Grain: one of the newest five events of each asked (object, id) pair, from the inbox. In Postgres.
with asked as (
    select *
    from unnest(%(objects)s::text [], %(ids)s::text []) as asked (object, id)
)

select
    asked.object,
    asked.id,
    e.event_id,
    e.type,
    e.state,
    e.reason,
    e.created_at,
    e.received_at,
    e.source
from asked
cross join lateral (
    select
        i.event_id,
        i.type,
        i.state,
        i.reason,
        i.created_at,
        i.received_at,
        i.source
    from billing.inbox as i
    where
        i.account_id = %(account_id)s
        and i.livemode = %(livemode)s
        and i.object = asked.object
        and i.object_id = asked.id
    order by i.created_at desc, i.event_id desc
    limit 5
) as e
