-- Removes the rows of one question that its answer does not have any more.
delete from cohorts.lifecycle as t
where
    t.segment_by = %(segment_by)s
    and not exists (
        select from growth_staging as s
        where
            s.grain = t.grain
            and s.period_start = t.period_start
            and s.segment is not distinct from t.segment
    )
