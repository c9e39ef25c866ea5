-- Grain: one asked charge (or intent, invoice, refund, dispute): what reached the database about it, its
-- refunds and disputes since its instant, by event or by a question to Stripe. Runs in Postgres.
with asked as (
    select *
    from unnest(%(charges)s::text [], %(since)s::timestamptz []) as asked (charge, since)
),

about as (
    select
        asked.charge,
        asked.since,
        kinds.object,
        asked.charge as id
    from asked
    cross join (
        values ('charge'), ('payment_intent'), ('invoice'), ('refund'), ('dispute')
    ) as kinds (object)
    union all
    select
        r.charge,
        asked.since,
        'refund' as object,
        r.id
    from stripe.refunds as r
    inner join asked on r.charge = asked.charge
    where r.account_id = %(account_id)s and r.livemode = %(livemode)s
    union all
    select
        d.charge,
        asked.since,
        'dispute' as object,
        d.id
    from stripe.disputes as d
    inner join asked on d.charge = asked.charge
    where d.account_id = %(account_id)s and d.livemode = %(livemode)s
),

heard as (
    select
        about.charge,
        array_agg(i.event_id order by i.created_at, i.event_id) as events,
        array_agg(i.event_id order by i.created_at, i.event_id)
        filter (where i.created_at < about.since) as late_events
    from about
    inner join billing.inbox as i on about.object = i.object and about.id = i.object_id
    where
        i.account_id = %(account_id)s
        and i.livemode = %(livemode)s
        and (i.received_at >= about.since or i.applied_at >= about.since)
    group by about.charge
),

shown as (
    select distinct about.charge
    from about
    inner join billing.fetched_states as s on about.object = s.object and about.id = s.id
    where
        s.account_id = %(account_id)s
        and s.livemode = %(livemode)s
        and s.stored_at >= about.since
)

select
    asked.charge,
    coalesce(heard.events, '{}') as events,
    coalesce(heard.late_events, '{}') as late_events,
    shown.charge is not null as fetched
from asked
left join heard on asked.charge = heard.charge
left join shown on asked.charge = shown.charge
