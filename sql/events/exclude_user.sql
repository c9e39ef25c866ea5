-- One user who does not count, and why; the newest reason stays.
insert into activity.excluded_users as stored (user_key, reason, excluded_at)
values (sha256(convert_to(%(user_id)s, 'UTF8')), %(reason)s, coalesce(%(now)s::timestamptz, now()))
on conflict (user_key) do update set reason = excluded.reason
