-- Zones that users' own calls told.
insert into lifecycle.zones as stored (user_number, tz)
select
    t.user_number,
    t.zone
from unnest(%(users)s::int [], %(zones)s::text []) as t (user_number, zone)
order by t.user_number
on conflict (user_number) do update set tz = excluded.tz
where stored.tz <> excluded.tz
