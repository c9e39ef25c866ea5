-- Says what this database is for, once: the first writer decides, everyone after reads. One row, or none.
insert into operate.mode (mode, set_at) values (%(mode)s, %(now)s)
on conflict (is_only_row) do nothing;
