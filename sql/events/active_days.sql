-- Grain: one user and day with qualifying events of users that count, and their number.
select
    user_number,
    day,
    count(*) as events
from records
where user_number is not null and not excluded
group by user_number, day
