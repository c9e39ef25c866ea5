-- Audit: the month's movements of the balance, judged by $until. Grain: one settlement currency,
-- type and reporting category; `broken` lists rows in which amount - fee is not net.
-- Runs in the engine. Contract: docs/metrics.md, "Revenue audit", settlement bridge.
select
    currency,
    type,
    reporting_category,
    count(*) as transactions,
    sum(amount) as amount_minor,
    sum(fee) as fee_minor,
    sum(net) as net_minor,
    list(struct_pack(id := id, amount := amount, fee := fee, net := net) order by id)
        filter (where amount - fee <> net) as broken
from balance_transactions
where created >= $start and created < $until
group by currency, type, reporting_category
order by currency, type, reporting_category
