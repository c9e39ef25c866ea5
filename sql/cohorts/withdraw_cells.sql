-- Cells that are published and are not among the staged ones of these cohorts (null: of all).
delete from cohorts.retention_metrics as m
where
    m.entry = %(entry)s
    and m.grain = %(grain)s
    and m.segment_by = %(segment_by)s
    and (%(cohorts)s::date[] is null or m.cohort_start = any(%(cohorts)s::date[]))
    and not exists (
        select 1 from growth_staging as s
        where
            s.cohort_start = m.cohort_start
            and s.period_index = m.period_index
            and s.segment is not distinct from m.segment
            and s.currency is not distinct from m.currency
    )
