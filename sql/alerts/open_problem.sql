-- Grain: one problem that is told. Why the case: one that was over begins anew, one that lasts goes on.
insert into alerts.problems as p (fingerprint, kind, level, title, opened_at, changed_at)
values (%(fingerprint)s, %(kind)s, %(level)s, %(title)s, %(now)s, %(now)s)
on conflict (fingerprint) do update
set
    kind = excluded.kind,
    level = excluded.level,
    title = excluded.title,
    opened_at = case when p.closed_at is null then p.opened_at else excluded.opened_at end,
    step = case when p.closed_at is null then p.step else 0 end,
    changed_at = excluded.changed_at,
    closed_at = null
