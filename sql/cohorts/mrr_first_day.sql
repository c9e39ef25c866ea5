-- One row: the first day of any MRR or entry, to know which periods there are; null without any.
select min(day) as first_day
from (
    select from_day as day from spells
    union all
    select entry_day as day from entries
) as days
