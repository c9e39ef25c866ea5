-- Grain: one row: how far published cohorts by day are known, and their first cohort.
select
    d.as_of,
    d.options,
    (
        select min(m.cohort_start)
        from cohorts.retention_metrics as m
        where m.entry = d.entry and m.grain = 'day' and m.segment_by = ''
    ) as first_day
from cohorts.definitions as d
where d.entry = %(entry)s and d.grain = 'day' and d.segment_by = ''
