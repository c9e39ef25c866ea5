-- Grain: one table of ours that row security does not bind. Why: such a table is open to every role with a grant.
select n.nspname || '.' || c.relname as table_name
from pg_class as c
inner join pg_namespace as n on c.relnamespace = n.oid
where
    n.nspname = any(%(schemas)s)
    and c.relkind in ('r', 'p')
    and not (c.relrowsecurity and c.relforcerowsecurity)
order by 1;
