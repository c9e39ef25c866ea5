-- One row: how many rows of the activity file count for nobody, by reason; one reason each.
with numbers as (
    select distinct user_id
    from entries
),

judged as (
    select
        records.at_microsecond >= options.as_of as is_late,
        records.user_id in (select user_id from excluded) as is_excluded,
        known.user_id is not null as is_known,
        numbers.user_id is not null as has_entered
    from records
    cross join options
    left join known on records.user_id = known.user_id
    left join numbers on records.user_id = numbers.user_id
    where records.fault is null
)

select
    count(*) filter (where is_late) as after_as_of,
    count(*) filter (where not is_late and is_excluded) as excluded,
    count(*) filter (where not is_late and not is_excluded and not is_known) as unknown_user,
    count(*) filter (where not is_late and is_known and not has_entered) as no_entry
from judged
