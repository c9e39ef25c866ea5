-- Says on each figure of a month which receipt it has. In Postgres.
update revenue.figures
set receipt_id = %(receipt_id)s
where
    policy = %(policy)s and grain = 'month' and period_start = %(period_start)s and reporting_currency = ''
    and receipt_id is distinct from %(receipt_id)s
