-- Grain: one stored rate, the newest day first. In Postgres.
select
    currency,
    reporting_currency,
    rate_on,
    rate,
    source,
    stored_at
from revenue.fx_rates
where
    (%(currency)s::text is null or currency = %(currency)s)
    and (%(into)s::text is null or reporting_currency = %(into)s)
    and (%(first)s::date is null or rate_on >= %(first)s)
    and (%(last)s::date is null or rate_on <= %(last)s)
order by rate_on desc, currency, reporting_currency
