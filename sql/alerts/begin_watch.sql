-- Grain: one regular event that is watched from its first question on.
insert into alerts.watches (name, since)
values (%(name)s, %(now)s)
on conflict (name) do nothing
