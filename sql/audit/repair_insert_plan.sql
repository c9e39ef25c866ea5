-- Grain: one plan of repair that was shown.
insert into audit.repair_plans (
    plan_id, account_id, livemode, month, tz, hash, audit_id, only_codes, contents, shown_at
)
values (
    %(plan_id)s, %(account_id)s, %(livemode)s, %(month)s, %(tz)s, %(hash)s, %(audit_id)s,
    %(only)s::text [], %(contents)s, %(shown_at)s
)
on conflict (plan_id) do nothing
