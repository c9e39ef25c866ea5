-- One row per user, currency and end of a calendar period at which the user has MRR.
with numbers as (
    select distinct
        user_id,
        user_number
    from entries
)

select
    numbers.user_number,
    snapshots.day,
    spells.currency,
    spells.minor
from spells
inner join numbers on spells.user_id = numbers.user_id
inner join snapshots
    on
        spells.from_day <= snapshots.day
        and (spells.until_day is null or spells.until_day > snapshots.day)
where spells.minor > 0
