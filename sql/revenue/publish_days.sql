-- Sums the days of a policy from a first one (null: all) up to the last that is over. In Postgres.
-- Why edges: a spell counts where it begins and where it ends, not once for each of its days. A
-- customer or subscription counts while any of its items does.
with live as (
    select
        account_id || ' ' || customer_id as customer,
        account_id || ' ' || subscription_id as subscription,
        currency,
        greatest(from_on, %(since)s::date) as from_on,
        case when until_on < %(until)s then until_on end as until_on,
        mrr_minor,
        contract_minor,
        cancels_at is not null as is_scheduled
    from revenue.mrr_spells
    where
        policy = %(policy)s
        and from_on < %(until)s
        and until_on is distinct from from_on
        and (%(since)s::date is null or until_on is null or until_on > %(since)s::date)
),

edges as (
    select
        l.customer,
        l.subscription,
        l.currency,
        e.day,
        e.sign,
        e.sign * coalesce(l.mrr_minor, 0) as mrr,
        e.sign * coalesce(l.contract_minor, 0) as contract,
        e.sign * case when l.is_scheduled then coalesce(l.mrr_minor, 0) else 0 end as scheduled,
        e.sign * (l.mrr_minor is null)::int as unknown,
        e.sign * (l.mrr_minor > 0)::int as paying
    from live as l
    cross join lateral (values (l.from_on, 1), (l.until_on, -1)) as e (day, sign)
    where e.day is not null
),

of_customers as (
    select
        currency,
        day,
        (sum(paying) over w > 0)::int - (sum(paying) over w - paying > 0)::int as came
    from (
        select customer, currency, day, sum(coalesce(paying, 0)) as paying
        from edges
        group by customer, currency, day
    ) as c
    window w as (partition by customer, currency order by day)
),

of_subscriptions as (
    select
        currency,
        day,
        (sum(items) over w > 0)::int - (sum(items) over w - items > 0)::int as came
    from (
        select subscription, currency, day, sum(sign) as items
        from edges
        group by subscription, currency, day
    ) as s
    window w as (partition by subscription, currency order by day)
),

changes as (
    select currency, day, mrr, contract, scheduled, unknown, sign as items, 0 as customers, 0 as subscriptions
    from edges
    union all
    select currency, day, 0, 0, 0, 0, 0, came, 0 from of_customers
    union all
    select currency, day, 0, 0, 0, 0, 0, 0, came from of_subscriptions
),

summed as (
    select
        currency,
        day,
        sum(mrr) as mrr,
        sum(contract) as contract,
        sum(scheduled) as scheduled,
        sum(unknown) as unknown,
        sum(items) as items,
        sum(customers) as customers,
        sum(subscriptions) as subscriptions
    from changes
    group by currency, day
),

running as (
    select
        currency,
        day,
        coalesce(lead(day) over (partition by currency order by day), %(until)s::date) as next_day,
        sum(mrr) over w as mrr,
        sum(contract) over w as contract,
        sum(scheduled) over w as scheduled,
        sum(unknown) over w as unknown,
        sum(items) over w as items,
        sum(customers) over w as customers,
        sum(subscriptions) over w as subscriptions
    from summed
    window w as (partition by currency order by day)
)

insert into revenue.mrr_daily (
    policy, day, currency, mrr_minor, contract_minor, scheduled_churn_minor, customers,
    subscriptions, unknown_items, state
)
select
    %(policy)s,
    d.day::date,
    r.currency,
    case when r.unknown = 0 then r.mrr end,
    case when r.unknown = 0 then r.contract end,
    case when r.unknown = 0 then r.scheduled end,
    r.customers,
    r.subscriptions,
    r.unknown,
    'closed'
from running as r
cross join lateral generate_series(r.day::timestamp, r.next_day::timestamp - interval '1 day', interval '1 day') as d (day)
where r.items > 0
