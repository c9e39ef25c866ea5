-- Removes movements of a policy in a reporting currency that its answer does not have. In Postgres.
delete from revenue.mrr_movements as t
where
    t.policy = %(policy)s
    and t.reporting_currency = %(into)s
    and not exists (
        select from growth_staging as s
        where
            s.grain = t.grain
            and s.period_start = t.period_start
            and s.currency = t.currency
            and s.movement = t.movement
    )
