-- Grain: one currency and day with a rate into a reporting currency. In Postgres.
select
    currency,
    rate_on,
    rate
from revenue.fx_rates
where reporting_currency = %(into)s
order by currency, rate_on
