-- Audit: objects of the month against the balance transactions that moved their money, from the
-- month's start on. Grain: one kind of object, its currency, and the currency it settled in (null on
-- a side without partner). `differing` names objects whose movements are not their money,
-- `unmatched` sources of movements that are no settled object of the month, `missing` the $most
-- largest objects that nothing moved although they were made before $due.
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

-- What moved after $cutoff is no line of the walk, and no missing movement either.
later as (
    select distinct source from balance_transactions where created >= $cutoff and source is not null
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
        amount as also_minor,
        created,
        true as is_final
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
        -amount as also_minor,
        created,
        status = 'succeeded' as is_final
    from refunds
    where created < $cutoff
    union all
    select
        'disputes' as part,
        id,
        currency,
        reinstated_minor - withdrawn_minor as minor,
        -amount as also_minor,
        created,
        true as is_final
    from disputes
    where created < $cutoff
    union all
    select
        'payouts' as part,
        id,
        currency,
        case when status in ('failed', 'canceled') then 0 else -amount end as minor,
        -amount as also_minor,
        created,
        status = 'paid' as is_final
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
        o.created,
        m.in_month_minor,
        m.after_minor,
        m.fee_minor,
        m.source,
        o.id is null and m.is_in_month as is_unmatched,
        m.source is null
        and o.is_final
        and o.minor <> 0
        and o.created < $due
        and l.source is null as is_missing,
        o.currency = m.currency
        and m.in_month_minor + m.after_minor <> o.minor
        -- before basil a partial capture moved all that was asked for, and a refund the rest back;
        -- money that went out may not be back yet, or be back before its object says so
        and m.in_month_minor + m.after_minor <> o.also_minor
        and (o.part = 'charges' or m.in_month_minor + m.after_minor <> 0) as is_differing
    from objects as o
    full outer join moved as m on o.id = m.source and o.part = m.part
    left join later as l on o.id = l.source
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
    coalesce(
        sum(in_month_minor + after_minor - minor)
            filter (where of_currency = settled_in and not is_differing),
        0
    ) as explained_minor,
    count(*) filter (where is_missing) as missing_count,
    coalesce(sum(minor) filter (where is_missing), 0) as missing_minor,
    max(
        struct_pack(size := abs(minor), id := id, object_minor := minor, created := created), $most
    ) filter (where is_missing) as missing,
    list(
        struct_pack(
            id := id, object_minor := minor, moved_minor := in_month_minor + after_minor
        ) order by id
    ) filter (where is_differing) as differing,
    list(source) filter (where is_unmatched) as unmatched
from paired
group by part, of_currency, settled_in
order by part, of_currency, settled_in
