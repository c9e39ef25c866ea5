-- Grain: one channel that refused something.
insert into alerts.channels (channel, blocked_until, failures, reason)
values (%(channel)s, %(blocked_until)s, %(failures)s, %(reason)s)
on conflict (channel) do update
set
    blocked_until = excluded.blocked_until,
    failures = excluded.failures,
    reason = excluded.reason
