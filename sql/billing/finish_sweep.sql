-- Grain: one account and mode. Everything before `swept_to` was read; it never goes back, because a
-- slower sweep beside this one may end later.
insert into billing.sweeps as known (account_id, livemode, swept_to, finished_at)
values (%(account_id)s, %(livemode)s, %(swept_to)s, %(now)s)
on conflict (account_id, livemode) do update
set
    swept_to = greatest(known.swept_to, excluded.swept_to),
    unread_to = null,
    reading_to = null,
    finished_at = excluded.finished_at
