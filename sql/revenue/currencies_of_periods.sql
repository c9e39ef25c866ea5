-- One row per currency of subscription periods, in alphabetical order; empty where there is none.
select distinct currency
from periods
order by currency
