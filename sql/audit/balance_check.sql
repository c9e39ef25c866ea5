-- Audit: fees of settled charges per currency, and balance transactions whose charge is not at hand.
-- Grain: one settlement currency. Why in one: both ask for the charge of each transaction. Only
-- types that belong to an object we extract must have a source. Runs in the engine.
select
    t.currency,
    coalesce(
        sum(t.fee) filter (
            where t.id = c.balance_transaction and c.created < $cutoff and c.status = 'succeeded'
        ), 0
    ) as fees_minor,
    list(struct_pack(id := t.id, source := t.source, net := t.net)) filter (
        where
        c.id is null
        and t.created >= $start
        and t.created < $cutoff
        and (
            t.type in (
                'charge', 'payment', 'refund', 'payment_refund', 'refund_failure',
                'payment_failure_refund'
            )
            or t.reporting_category in ('dispute', 'dispute_reversal')
        )
    ) as unlinked
from balance_transactions as t
left join charges as c on t.source = c.id
group by t.currency
