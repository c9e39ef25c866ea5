-- Grain: one row: users of whom something waits that was noted for a day that is over.
select count(distinct user_number)
from lifecycle.news
where from_on is null or from_on <= (select max(decided_on) from lifecycle.users)
