-- Grain: one published figure of a policy and month in its own currency. In Postgres.
select metric, currency, segment_by, segment, value
from revenue.figures
where
    policy = %(policy)s and grain = 'month' and period_start = %(period_start)s and reporting_currency = ''
