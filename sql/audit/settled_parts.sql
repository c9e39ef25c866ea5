-- Audit: objects of the month against the balance transactions that moved their money, from the
-- month's start on. Grain: one kind of object, its currency, and the currency it settled in (null on
-- a side without partner). `differing` names objects whose movements are not their money,
-- `unmatched` sources of movements that are no settled object of the month.
-- Why signed: charges bring money in, refunds, disputes and payouts take it out. Runs in the engine.
with moves as (
    select
        case
            when type in ('charge', 'payment') then 'charges'
            when
                type in (
                    'refund', 'payment_refund', 'refund_failure', 'payment_failure_refund'
                ) then 'refunds'
            when reporting_category in ('dispute', 'dispute_reversal') then 'disputes'
            when type in ('payout', 'payout_cancel', 'payout_failure') then 'payouts'
        end as part,
        source,
        currency,
        amount,
        fee,
        created < $until as in_month
    from balance_transactions
    where created < $cutoff and type is not null
),

moved as (
    select
        part,
        source,
        currency,
        coalesce(sum(amount) filter (where in_month), 0) as in_month_minor,
        coalesce(sum(amount) filter (where not in_month), 0) as after_minor,
        sum(fee) as fee_minor,
        bool_or(in_month) as is_in_month
    from moves
    where part is not null
    group by part, source, currency
),

objects as (
    select
        'charges' as part,
        id,
        currency,
        coalesce(amount_captured, amount) as minor,
        amount as also_minor
    from charges
    where
        created < $cutoff
        and status = 'succeeded'
        and coalesce(paid, true)
        and coalesce(captured, true)
    union all
    select
        'refunds' as part,
        id,
        currency,
        case when status in ('succeeded', 'pending') then -amount else 0 end as minor,
        -amount as also_minor
    from refunds
    where created < $cutoff
    union all
    select
        'disputes' as part,
        id,
        currency,
        reinstated_minor - withdrawn_minor as minor,
        -amount as also_minor
    from disputes
    where created < $cutoff
    union all
    select
        'payouts' as part,
        id,
        currency,
        case when status in ('failed', 'canceled') then 0 else -amount end as minor,
        -amount as also_minor
    from payouts
    where created < $cutoff
),

paired as (
    select
        coalesce(o.part, m.part) as part,
        o.id,
        o.currency as of_currency,
        m.currency as settled_in,
        o.minor,
        m.in_month_minor,
        m.after_minor,
        m.fee_minor,
        m.source,
        o.id is null and m.is_in_month as is_unmatched,
        o.currency = m.currency
        and m.in_month_minor + m.after_minor <> o.minor
        -- before basil a partial capture moved all that was asked for, and a refund the rest back;
        -- money that went out may not be back yet, or be back before its object says so
        and m.in_month_minor + m.after_minor <> o.also_minor
        and (o.part = 'charges' or m.in_month_minor + m.after_minor <> 0) as is_differing
    from objects as o
    full outer join moved as m on o.id = m.source and o.part = m.part
)

select
    part,
    of_currency,
    settled_in,
    count(id) as objects,
    coalesce(sum(minor), 0) as objects_minor,
    coalesce(sum(in_month_minor), 0) as in_month_minor,
    coalesce(sum(after_minor), 0) as after_minor,
    coalesce(sum(fee_minor), 0) as fee_minor,
    list(
        struct_pack(
            id := id, object_minor := minor, moved_minor := in_month_minor + after_minor
        ) order by id
    ) filter (where is_differing) as differing,
    list(source) filter (where is_unmatched) as unmatched
from paired
group by part, of_currency, settled_in
order by part, of_currency, settled_in
