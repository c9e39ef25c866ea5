-- One row per user, currency and end of a period since entry at which the user has MRR; the running
-- period ends on the last day that has begun.
with ends as (
    select
        entries.user_id,
        entries.user_number,
        least(entries.entry_day + steps.last_after, steps.last_day) as day
    from entries
    cross join steps
    where entries.entry_day + steps.first_after <= steps.last_day
)

select
    ends.user_number,
    ends.day,
    spells.currency,
    spells.minor
from ends
inner join spells
    on
        ends.user_id = spells.user_id
        and spells.from_day <= ends.day
        and (spells.until_day is null or spells.until_day > ends.day)
where spells.minor > 0
