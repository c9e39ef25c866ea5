-- Grain: one thing that is read bit by bit; never goes back.
insert into activity.readings as stored (what, until)
values (%(what)s, %(until)s)
on conflict (what) do update set until = greatest(stored.until, excluded.until)
