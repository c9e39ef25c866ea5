-- Grain: one local day on which a Day N of the asked ones fell: its cohort, whole. Cells are told once
-- for each currency; their users are the same.
select distinct
    m.period_index,
    m.cohort_start,
    m.cohort_size,
    m.users
from cohorts.retention_metrics as m
where
    m.entry = %(entry)s
    and m.grain = 'day'
    and m.segment_by = ''
    and m.period_index = any(%(days)s)
    and m.state = 'closed'
    and m.cohort_start + m.period_index >= %(first_day)s
    and m.cohort_start + m.period_index < %(end_day)s
