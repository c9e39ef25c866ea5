-- Every published question about activity, in order.
select
    question,
    name,
    segment_by,
    as_of,
    options
from cohorts.activity_definitions
where question = %(question)s
order by name, segment_by
