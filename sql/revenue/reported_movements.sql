-- Grain: one published movement of a policy, in its own currency, not split, of all causes. In Postgres.
select
    grain,
    period_start,
    currency,
    movement,
    customers,
    changes
from revenue.mrr_movements
where policy = %(policy)s and segment_by = '' and reporting_currency = '' and cause = ''
