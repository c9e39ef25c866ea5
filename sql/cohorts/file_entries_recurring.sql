-- One row per known user and local day with a target before as_of; a user keeps one number.
-- Targets: as in file_entries_first.
with target_days as (
    select
        user_id,
        day as entry_day
    from records
    cross join options
    where
        fault is null
        and at_microsecond < as_of
        and (any_target or event in (select event from targets))
        and (not only_payments or minor > 0 or amount > 0)
    group by user_id, day
),

numbered as (
    select
        user_id,
        cast(row_number() over (order by min(entry_day), user_id) - 1 as integer) as user_number
    from target_days
    inner join known using (user_id)
    group by user_id
)

select
    user_id,
    entry_day,
    segment,
    user_number
from target_days
inner join numbered using (user_id)
inner join known using (user_id)
