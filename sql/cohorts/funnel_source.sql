-- One row per event of a funnel and known user, in order of user and time: track calls of the ingest,
-- imported files (or what growth adopt named instead), and payments of the books (stripe:payment).
-- Anonymous ids are merged first; who does not count, or nobody knows, is left out. names null: every
-- event. properties: those that stages look at, as JSON. Contract: docs/metrics.md, "Published funnels".
with told as (
    select
        coalesce(e.user_id, e.anonymous_id) as user_id,
        e.occurred_at,
        e.event,
        e.properties
    from events.events as e
    where
        e.type = 'track'
        and e.occurred_at < %(as_of)s
        and (%(names)s::text [] is null or e.event = any(%(names)s::text []))
    union all
    select
        i.user_id,
        i.occurred_at,
        i.event,
        null
    from activity.imported_events as i
    where
        i.event is not null
        and i.occurred_at < %(as_of)s
        and (%(names)s::text [] is null or i.event = any(%(names)s::text []))
    union all
    select
        s.user_id,
        s.occurred_at,
        s.event,
        null
    from activity.source_events as s
    where
        %(is_adopted)s
        and s.event is not null
        and s.occurred_at < %(as_of)s
        and (%(names)s::text [] is null or s.event = any(%(names)s::text []))
),

-- Of several users of one customer the first who signed up has its payments.
owners as (
    select
        u.account_id,
        u.customer_id,
        min(n.user_number) as user_number
    from billing.user_customers as u
    left join activity.merged_ids as m on m.merged_key = sha256(convert_to(u.user_id, 'UTF8'))
    inner join activity.user_numbers as n
        on n.user_key = coalesce(m.user_key, sha256(convert_to(u.user_id, 'UTF8')))
    where
        %(with_payments)s
        and u.account_id = any(%(accounts)s::text [])
        and u.livemode = %(livemode)s
        and u.customer_id is not null
        and not exists (select from activity.excluded_users as x where x.user_key = n.user_key)
    group by u.account_id, u.customer_id
),

known as (
    select
        n.user_number,
        t.occurred_at,
        t.event,
        t.properties
    from told as t
    left join activity.merged_ids as m on m.merged_key = sha256(convert_to(t.user_id, 'UTF8'))
    inner join activity.user_numbers as n
        on n.user_key = coalesce(m.user_key, sha256(convert_to(t.user_id, 'UTF8')))
    where not exists (select from activity.excluded_users as x where x.user_key = n.user_key)
    union all
    select
        o.user_number,
        p.created_at,
        'stripe:payment',
        null
    from billing.payments as p
    inner join owners as o on o.account_id = p.account_id and o.customer_id = p.customer_id
    where
        p.livemode = %(livemode)s
        and p.status = 'succeeded'
        and p.captured
        and p.amount_minor > 0
        and p.created_at < %(as_of)s
)

select
    k.user_number,
    (extract(epoch from k.occurred_at) * 1000000)::int8 as at_microsecond,
    ((k.occurred_at at time zone %(tz)s)::date - date '1970-01-01')::int4 as day,
    k.event,
    (
        select jsonb_object_agg(w.name, k.properties ->> w.name)::text
        from unnest(%(properties)s::text []) as w (name)
        where k.properties ->> w.name is not null
    ) as properties
from known as k
order by k.user_number, k.occurred_at, k.event
