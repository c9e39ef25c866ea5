-- Whether the source view still reads imported files; `growth adopt` may have pointed it elsewhere.
select pg_get_viewdef(format('activity.source_%%s', case %(kind)s when 'activity' then 'events' else %(kind)s end)::regclass)
like '%%imported_%%'
