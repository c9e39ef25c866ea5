-- One row per pair of first days, before and now, of users whose first day or segment is another one.
-- Users who are new, or gone, are told by the days on which they were active.
select
    b.first_day as day_before,
    n.first_day as day_now,
    max(case when n.segment is distinct from b.segment then 1 else 0 end) as is_moved
from people_before as b
inner join people as n on b.user_number = n.user_number
where b.first_day <> n.first_day or n.segment is distinct from b.segment
group by b.first_day, n.first_day
