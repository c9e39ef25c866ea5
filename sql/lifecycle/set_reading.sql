-- How far something was read; never back.
insert into lifecycle.readings as stored (what, until, told)
values (%(what)s, %(until)s, %(told)s)
on conflict (what) do update set
until = greatest(stored.until, excluded.until),
told = excluded.told
