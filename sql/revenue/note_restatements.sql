-- Notes each month end that was published as over, of a customer and currency whose MRR then is another
-- one now, with the events that were applied in between, or the code that counts otherwise. In Postgres.
-- Why differences alone: what is equal on both sides cancels out of the comparison.
with ends as (
    select (m.first_day + interval '1 month' - interval '1 day')::date as day
    from generate_series(
        date_trunc('month', (select min(from_on) from growth_differences)::timestamp),
        %(end_before)s::date::timestamp,
        interval '1 month'
    ) as m (first_day)
    where (m.first_day + interval '1 month')::date <= %(end_before)s::date
),

touched as (
    select distinct d.account_id, d.customer_id, d.currency, e.day
    from growth_differences as d
    inner join ends as e on d.from_on <= e.day and (d.until_on is null or d.until_on > e.day)
),

-- Joins, no look-up for each row: after a change of code every customer may differ.
before as (
    select
        t.account_id,
        t.customer_id,
        t.currency,
        t.day,
        case when bool_and(s.mrr_minor is not null) then sum(s.mrr_minor) end as minor
    from touched as t
    inner join revenue.mrr_spells as s
        on
            t.account_id = s.account_id and t.customer_id = s.customer_id and t.currency = s.currency
            and s.policy = %(policy)s
            and s.from_on <= t.day and (s.until_on is null or s.until_on > t.day)
    group by t.account_id, t.customer_id, t.currency, t.day
),

after as (
    select
        t.account_id,
        t.customer_id,
        t.currency,
        t.day,
        case when bool_and(s.mrr_minor is not null) then sum(s.mrr_minor) end as minor
    from touched as t
    inner join growth_staging as s
        on
            t.account_id = s.account_id and t.customer_id = s.customer_id and t.currency = s.currency
            and s.from_on <= t.day and (s.until_on is null or s.until_on > t.day)
    group by t.account_id, t.customer_id, t.currency, t.day
),

both_sides as (
    select
        t.account_id,
        t.customer_id,
        t.currency,
        t.day,
        case when b.day is null then 0 else b.minor end as before_minor,
        case when a.day is null then 0 else a.minor end as now_minor
    from touched as t
    left join before as b
        on t.account_id = b.account_id and t.customer_id = b.customer_id
        and t.currency = b.currency and t.day = b.day
    left join after as a
        on t.account_id = a.account_id and t.customer_id = a.customer_id
        and t.currency = a.currency and t.day = a.day
),

differing as (
    select * from both_sides
    where before_minor is distinct from now_minor
),

-- Those of the last minutes before are looked at too: their transaction may have been open at the last
-- run. Read once, however many customers differ.
recent as materialized (
    select
        account_id,
        object,
        object_id,
        event_id,
        created_at,
        applied_at > %(known_before)s as is_new
    from billing.inbox
    where
        applied_at > %(known_before)s::timestamptz - interval '10 minutes'
        and object in ('subscription', 'discount', 'coupon', 'price', 'customer')
),

of_subscriptions as (
    select
        d.account_id,
        d.customer_id,
        array_agg(e.event_id order by e.created_at, e.event_id) filter (where e.is_new) as new_events,
        array_agg(e.event_id order by e.created_at, e.event_id) as events
    from (select distinct account_id, customer_id, subscription_id from growth_differences) as d
    inner join recent as e
        on d.account_id = e.account_id and e.object = 'subscription' and d.subscription_id = e.object_id
    group by d.account_id, d.customer_id
),

of_customers as (
    select
        account_id,
        object_id as customer_id,
        array_agg(event_id order by created_at, event_id) as events
    from recent
    where object = 'customer' and is_new
    group by account_id, object_id
),

of_catalogue as (
    select
        account_id,
        array_agg(event_id order by created_at, event_id) as events
    from recent
    where object in ('discount', 'coupon', 'price') and is_new
    group by account_id
),

-- Events of the subscriptions; else what was told of the customer, of discounts and prices; else
-- other code; else what told the spells.
told as (
    select
        d.account_id,
        d.customer_id,
        coalesce(
            min(s.new_events),
            min(s.events),
            nullif(coalesce(min(c.events), '{}') || coalesce(min(k.events), '{}'), '{}'),
            case when %(is_other_code)s then array['code ' || %(code_version)s] end,
            array_agg(distinct g.told_by order by g.told_by)
        ) as told_by
    from (select distinct account_id, customer_id from differing) as d
    inner join growth_differences as g on d.account_id = g.account_id and d.customer_id = g.customer_id
    left join of_subscriptions as s on d.account_id = s.account_id and d.customer_id = s.customer_id
    left join of_customers as c on d.account_id = c.account_id and d.customer_id = c.customer_id
    left join of_catalogue as k on d.account_id = k.account_id
    group by d.account_id, d.customer_id
)

insert into revenue.restatements (
    policy, account_id, customer_id, currency, period_start, before_minor, now_minor, told_by,
    known_before, known_at
)
select
    %(policy)s,
    b.account_id,
    b.customer_id,
    b.currency,
    date_trunc('month', b.day::timestamp)::date,
    b.before_minor,
    b.now_minor,
    t.told_by,
    %(known_before)s,
    %(known_at)s
from differing as b
inner join told as t on b.account_id = t.account_id and b.customer_id = t.customer_id
on conflict (policy, account_id, customer_id, currency, period_start, known_at) do update set
now_minor = excluded.now_minor,
told_by = excluded.told_by,
noted_at = now()
