-- Audit: fees as the books have them. Grain: one settlement currency of settled rows of the month
-- created before $cutoff; `unknown` counts rows that do not know theirs. Runs in the engine.
select
    settlement_currency as currency,
    sum(fee_minor) as fees_minor,
    count(*) filter (where fee_minor is null or settlement_currency is null) as unknown
from books
where in_month and created < $cutoff and status = 'succeeded' and captured
group by settlement_currency
