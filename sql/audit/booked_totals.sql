-- Audit: control totals of the books' side. Grain: one currency, settled rows that the books give
-- to the month, created before $cutoff. Runs in the engine.
select
    currency,
    count(*) as count,
    sum(amount_minor) as gross_minor,
    sum(refunded_minor) as refunded_minor,
    sum(disputed_minor) as disputed_minor
from books
where in_month and created < $cutoff and status = 'succeeded' and captured
group by currency
