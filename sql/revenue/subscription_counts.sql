-- One row per period, currency and plan: subscriptions whose MRR begins for the first time, that were
-- told to end (by canceled_at), and that are live at the snapshot. A plan is the product of the
-- subscription's largest item at its first or last instant.
with whole as (
    select
        account_id,
        subscription,
        currency,
        min(from_us) as begin_us,
        min({'at': from_us, 'less': -amount, 'item': item, 'plan': product}).plan as first_plan,
        min({'at': -from_us, 'less': -amount, 'item': item, 'plan': product}).plan as last_plan
    from periods
    where from_us is distinct from until_us
    group by account_id, subscription, currency
),

held as (
    select
        p.account_id,
        p.subscription,
        p.currency,
        p.amount,
        p.item,
        p.product,
        f.period as from_period,
        coalesce(u.period, (select max(l.period) + 1 as beyond from looks as l)) as until_period
    from periods as p
    asof join looks as f on p.from_us <= f.look_us
    asof left join looks as u on p.until_us <= u.look_us
),

live as (
    select
        period,
        currency,
        account_id,
        subscription,
        min({'less': -amount, 'item': item, 'plan': product}).plan as plan
    from (
        select
            *,
            unnest(range(from_period, until_period)) as period
        from held
    ) as h
    group by period, currency, account_id, subscription
),

counted as (
    select
        l.period,
        w.currency,
        w.first_plan as plan,
        1 as started,
        0 as canceled,
        0 as active
    from whole as w
    asof join looks as l on w.begin_us <= l.look_us
    union all
    select
        l.period,
        w.currency,
        w.last_plan as plan,
        0 as started,
        1 as canceled,
        0 as active
    from (
        select
            w.currency,
            w.last_plan,
            c.at_us
        from whole as w
        inner join cancellations as c on w.account_id = c.account_id and w.subscription = c.subscription_id
    ) as w
    asof join looks as l on w.at_us <= l.look_us
    union all
    select
        period,
        currency,
        plan,
        0 as started,
        0 as canceled,
        1 as active
    from live
)

select
    period,
    currency,
    plan,
    sum(started) as started,
    sum(canceled) as canceled,
    sum(active) as active
from counted
group by period, currency, plan
