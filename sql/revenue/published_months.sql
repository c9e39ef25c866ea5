-- One row: the first and the last month with figures under a policy; null when there are none.
select
    min(period_start) as first_month,
    max(period_start) as last_month
from revenue.figures
where policy = %(policy)s and grain = 'month'
