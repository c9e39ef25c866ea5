-- Grain of the result: the source of a name, made now if there was none.
insert into events.sources (name)
values (%(name)s)
on conflict (name) do update set name = excluded.name
returning source_id
