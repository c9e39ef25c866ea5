-- One row per known user with MRR before as_of: the first local day with any, ever; numbered in order
-- of entry.
with rises as (
    select
        user_id,
        min(from_day) as entry_day
    from spells
    where is_rise
    group by user_id
)

select
    rises.user_id,
    rises.entry_day,
    known.segment,
    cast(row_number() over (order by rises.entry_day, rises.user_id) - 1 as integer) as user_number
from rises
inner join known on rises.user_id = known.user_id
