-- One row per user with a value of a property, in order of the number; values of few users are one.
with ranked as (
    select
        segment,
        row_number() over (order by count(*) desc, segment collate "C") as place
    from activity.user_segments
    where segment_by = %(segment_by)s
    group by segment
)

select
    u.user_number,
    case when r.place <= %(most)s then u.segment else %(others)s end as segment
from activity.user_segments as u
inner join ranked as r on u.segment = r.segment
where u.segment_by = %(segment_by)s
order by u.user_number
