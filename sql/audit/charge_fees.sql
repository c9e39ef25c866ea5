-- Audit: fees of the month's settled charges. Grain: one settlement currency. Runs in the engine.
select t.currency, sum(t.fee) as fees_minor
from balance_transactions as t
join charges as c on t.id = c.balance_transaction
where c.created < $cutoff and c.status = 'succeeded'
group by t.currency
