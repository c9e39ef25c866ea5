-- Grain: one row: payments of nobody whom we know.
select coalesce(sum(payments), 0)::int8 as payments
from growth_paid
where user_number is null
