-- Removes movements of a policy that its answer does not have any more; those in a reporting currency
-- are not its own. In Postgres.
delete from revenue.mrr_movements as t
where
    t.policy = %(policy)s
    and t.reporting_currency = ''
    and not exists (
        select from growth_staging as s
        where
            s.grain = t.grain
            and s.period_start = t.period_start
            and s.currency = t.currency
            and s.segment_by = t.segment_by
            and coalesce('v' || s.segment, 'n') = coalesce('v' || t.segment, 'n')
            and s.movement = t.movement
            and s.cause = t.cause
    )
