-- The last use of each key feature ('': any activity) of staged days.
insert into lifecycle.last_uses as stored (user_number, what, last_on)
select
    t.user_number,
    u.what,
    max(t.day)
from growth_told_days as t
cross join lateral unnest(t.features || ''::text) as u (what)
group by t.user_number, u.what
order by t.user_number, u.what
on conflict (user_number, what) do update set last_on = excluded.last_on
where stored.last_on < excluded.last_on
