-- One row per user and local day with qualifying events before as_of, and their number.
with numbers as (
    select distinct
        user_id,
        user_number
    from entries
)

select
    user_number,
    day,
    count(*) as events
from records
inner join numbers using (user_id)
cross join options
where
    fault is null
    and at_microsecond < as_of
    and (any_event or event in (select event from wanted))
group by user_number, day
