-- Grain: one user who had no value of a property and has one now: the one that was told first. It stays,
-- so that cohorts of the past do not move when a user changes or is deleted.
insert into activity.user_segments (user_number, segment_by, segment)
select distinct on (n.user_number)
    n.user_number,
    %(segment_by)s,
    s.segment
from activity.source_segments as s
inner join activity.user_numbers as n on s.user_key = n.user_key
where
    s.segment_by = %(segment_by)s
    and s.segment is not null
    and not exists (
        select 1 from activity.user_segments as u
        where u.user_number = n.user_number and u.segment_by = %(segment_by)s
    )
order by n.user_number, s.told_at nulls first, s.segment
on conflict (user_number, segment_by) do nothing
