-- Kit is left alone for so many seconds from now.
insert into lifecycle.kit_blocks as stored (what, until, reason)
values (%(what)s, clock_timestamp() + make_interval(secs => %(seconds)s), %(reason)s)
on conflict (what) do update set
until = greatest(stored.until, excluded.until),
reason = excluded.reason
