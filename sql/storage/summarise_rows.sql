-- One row: what a read file holds, to decide whether it can be used and up to when it tells.
select
    count(*) filter (where fault is null) as rows,
    count(*) filter (where fault = 'empty') as empty_rows,
    count(*) filter (where fault <> 'empty') as faults,
    count(*) filter (where is_naive) as naive,
    count(*) filter (where is_date) as dates,
    min(day) filter (where fault is null) as first_day,
    max(day) filter (where fault is null) as last_day,
    count(currency) filter (where fault is null) as with_currency,
    count(amount) filter (where fault is null) as without_currency
from records
