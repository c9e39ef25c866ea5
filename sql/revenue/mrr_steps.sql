-- One row per customer, currency and period with a change (by_event: and instant of change): MRR and
-- standing before and after, and what was before a return. Table `looks` has the instant at which
-- each period is looked at; a change belongs to the first period looked at when it has happened.
with placed as (
    select
        c.*,
        l.period,
        case when o.by_event then c.at_us else l.period end as slot,
        c.paid_before and not c.pays as is_drop,
        c.pays and not c.paid_before as is_rise
    from changes as c
    asof join looks as l on c.at_us <= l.look_us
    cross join options as o
),

-- Of a subscription that ended more than once, the last end says why it has no MRR in the end.
last_ends as (
    select
        e.customer,
        e.currency,
        e.period,
        e.slot,
        e.gone.subscription as subscription,
        arg_max({'lost': e.gone.lost, 'cause': e.gone.cause}, e.at_us) as gone
    from (
        select
            customer,
            currency,
            period,
            slot,
            at_us,
            unnest(ended) as gone
        from placed
    ) as e
    group by e.customer, e.currency, e.period, e.slot, e.gone.subscription
),

causes as (
    select
        customer,
        currency,
        period,
        slot,
        min(gone).cause as cause
    from last_ends
    group by customer, currency, period, slot
),

dropped as (
    select
        p.*,
        c.cause as why
    from placed as p
    left join causes as c
        on
            p.customer = c.customer
            and p.currency = c.currency
            and p.period = c.period
            and p.slot = c.slot
),

grouped as (
    select
        customer,
        currency,
        period,
        slot,
        arg_min(before, at_us) as before,
        arg_max(now, at_us) as now,
        arg_min(paid_before, at_us) as was_customer,
        arg_max(pays, at_us) as is_customer,
        bool_or(is_rise) as has_risen,
        min(day) filter (where is_rise) as rise_day,
        max(day) filter (where is_drop) as drop_day,
        case
            when bool_or(is_drop)
                then
                    case
                        when arg_max(live_now, at_us) > 0 then 'to_free'
                        else coalesce(min(why), 'unknown')
                    end
        end as cause
    from dropped
    group by customer, currency, period, slot
),

returns as (
    select
        *,
        last_value(drop_day ignore nulls) over earlier as left_day,
        last_value(cause ignore nulls) over earlier as left_cause
    from grouped
    window earlier as (
        partition by customer, currency
        order by slot
        rows between unbounded preceding and 1 preceding
    )
)

select
    r.customer,
    r.currency,
    r.period,
    r.slot,
    r.before,
    r.now,
    r.was_customer,
    r.is_customer,
    r.has_risen,
    r.cause,
    cast(sign(r.now - r.before) as integer) as direction,
    case
        when r.left_day is null then 'never'
        when r.left_cause = 'paused' then 'paused'
        when r.rise_day - r.left_day > o.reactivation_days then 'never'
        else 'left'
    end as earlier,
    last_value(case when r.before = 0 and r.now > 0 then r.period end ignore nulls) over (
        partition by r.customer, r.currency
        order by r.slot
    ) as run_period
from returns as r
cross join options as o
