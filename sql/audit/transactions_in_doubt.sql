-- Audit: balance transactions of the month whose source is a wanted one, or none though their type
-- has one; and those of a type that nobody classified. Grain: one transaction. Runs in the engine.
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
left join wanted as w on t.source = w.id
where
    t.created >= $start
    and t.created < $until
    and (
        k.type is null
        or (
            (k.has_source or t.reporting_category in ('dispute', 'dispute_reversal'))
            and (t.source is null or w.id is not null)
        )
    )
order by t.id
