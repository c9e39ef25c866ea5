-- Grain: one row for one day's file: how many rows of it cannot be.
select
    count(*) - count(distinct user_number) as rows_of_users_there_twice,
    greatest(count(distinct day) - 1, 0) as other_days,
    count(*) filter (where events < 1 or events is null) as rows_without_events
from activity
