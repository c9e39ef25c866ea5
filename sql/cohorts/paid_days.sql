-- Grain: one local day on which somebody known paid: a word that differs when a row of it does, its
-- month, and its currencies.
select
    day,
    to_char(date '1970-01-01' + day, 'YYYY-MM') as month,
    sum(hashtextextended(concat_ws('/', user_number, currency, minor, gross_minor), 0))::text as word,
    array_to_string(array_agg(distinct currency order by currency), ' ') as currencies
from growth_paid
where user_number is not null
group by day
order by day
