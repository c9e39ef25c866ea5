-- One row per user and day with activity, of the users of one segment; null are those without one.
select
    activity.user_number,
    activity.day,
    activity.events
from activity
inner join entries on activity.user_number = entries.user_number
inner join wanted on entries.segment is not distinct from wanted.segment
