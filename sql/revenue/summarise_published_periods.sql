-- One row: the first day on which a published spell begins; null without any.
select min(from_day) as first_day
from periods
