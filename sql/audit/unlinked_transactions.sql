-- Audit: balance transactions of the month whose source is not among the month's objects, though
-- their type has one; and those of a type that nobody classified. Grain: one transaction.
-- Only candidates: other months, the mirror and Stripe are asked next. Runs in the engine.
with known as (
    select id from charges
    union all
    select id from refunds
    union all
    select id from disputes
    union all
    select id from payouts
)

select
    t.id,
    t.created,
    t.currency,
    t.amount,
    t.fee,
    t.net,
    t.type,
    t.reporting_category,
    t.source,
    k.type is null as is_unknown_type
from balance_transactions as t
left join types as k on t.type = k.type
anti join known as o on t.source = o.id
where
    t.created >= $start
    and t.created < $until
    and (
        k.type is null
        or k.has_source
        or t.reporting_category in ('dispute', 'dispute_reversal')
    )
order by t.id
