-- Grain of the result: the file, if these bytes were not imported before.
insert into activity.imported_files (kind, sha256, name, imported_at)
values (%(kind)s, %(sha256)s, %(name)s, %(now)s)
on conflict (kind, sha256) do nothing
returning file_id
