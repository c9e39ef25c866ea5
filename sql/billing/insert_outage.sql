-- Grain: one span of lost events. The same span found again grows to the later end, and is open again.
insert into billing.outages as known (account_id, livemode, lost_from, lost_to, found_at)
values (%(account_id)s, %(livemode)s, %(lost_from)s, %(lost_to)s, %(now)s)
on conflict (account_id, livemode, lost_from) do update
set lost_to = greatest(known.lost_to, excluded.lost_to), repaired_at = null
