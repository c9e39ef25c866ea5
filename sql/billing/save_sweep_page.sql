-- Grain: one account and mode. What a sweep under way has read so far; both instants are of one sweep.
insert into billing.sweeps (account_id, livemode, unread_to, reading_to)
values (%(account_id)s, %(livemode)s, %(unread_to)s, %(reading_to)s)
on conflict (account_id, livemode) do update
set unread_to = excluded.unread_to, reading_to = excluded.reading_to
