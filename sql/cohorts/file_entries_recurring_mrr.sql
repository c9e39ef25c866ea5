-- One row per known user and local day on which the MRR of a currency rises from nothing; a user keeps
-- one number.
with rises as (
    select distinct
        spells.user_id,
        spells.from_day as entry_day,
        known.segment
    from spells
    inner join known on spells.user_id = known.user_id
    where spells.is_rise
),

numbered as (
    select
        user_id,
        cast(row_number() over (order by min(entry_day), user_id) - 1 as integer) as user_number
    from rises
    group by user_id
)

select
    rises.user_id,
    rises.entry_day,
    rises.segment,
    numbered.user_number
from rises
inner join numbered on rises.user_id = numbered.user_id
