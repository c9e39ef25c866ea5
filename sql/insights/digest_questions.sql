-- Grain: one published question about activity that is not split.
select q.question, q.name, q.as_of, q.options
from cohorts.activity_definitions as q
where q.segment_by = ''
order by q.question, q.name
