-- One row per wanted column of a table or view that is there: its quoted names and its type.
-- Names come quoted from Postgres itself, so that no name in a foreign database means anything.
-- pg_class is asked for what to_regclass finds, which reads "auth.users" as Postgres would.
select
    a.attname as name,
    format('%%I', a.attname) as quoted,
    format('%%I.%%I', n.nspname, c.relname) as relation,
    c.relkind::text as kind,
    format_type(a.atttypid, null) as type,
    row_security_active(c.oid) as restricted,
    has_column_privilege(c.oid, a.attnum, 'select') as readable
from pg_catalog.pg_class as c
inner join pg_catalog.pg_namespace as n on c.relnamespace = n.oid
inner join pg_catalog.pg_attribute as a on c.oid = a.attrelid
where
    c.oid = to_regclass(%(relation)s)
    and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and a.attnum > 0
    and not a.attisdropped
order by a.attnum
