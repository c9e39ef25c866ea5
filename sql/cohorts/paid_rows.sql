-- Grain: one user, local day and currency, of some days, in a fixed order.
select
    user_number,
    day,
    currency,
    minor,
    gross_minor
from growth_paid
where user_number is not null and day = any(%(days)s::int4 [])
order by day, user_number, currency
