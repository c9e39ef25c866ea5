-- One row per known user with a target before as_of: the local day of the first one, ever; numbered
-- in order of entry. Targets: any row, rows of some events, or payments above 0.
with first_targets as (
    select
        user_id,
        arg_min(day, at_microsecond) as entry_day
    from records
    cross join options
    where
        fault is null
        and at_microsecond < as_of
        and (any_target or event in (select event from targets))
        and (not only_payments or minor > 0 or amount > 0)
    group by user_id
)

select
    user_id,
    entry_day,
    segment,
    cast(row_number() over (order by entry_day, user_id) - 1 as integer) as user_number
from first_targets
inner join known using (user_id)
