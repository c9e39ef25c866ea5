-- Stores staged rates; a rate of a day that is there already is replaced where it differs. In Postgres.
insert into revenue.fx_rates as t (currency, reporting_currency, rate_on, rate, source, stored_at)
select
    currency,
    reporting_currency,
    rate_on,
    rate,
    source,
    %(now)s
from growth_staging
on conflict (reporting_currency, currency, rate_on) do update set
    rate = excluded.rate,
    source = excluded.source,
    stored_at = excluded.stored_at
where t.rate <> excluded.rate
returning (xmax = 0) as is_new
