-- Grain: one day with events that count for nobody, by reason; one reason each.
select
    day,
    count(*) filter (where user_number is null and not excluded) as unknown_user,
    count(*) filter (where excluded) as excluded
from records
where user_number is null or excluded
group by day
