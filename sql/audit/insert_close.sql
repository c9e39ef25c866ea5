-- Grain: one closed month. The first audit that closes it counts; another one changes nothing.
insert into audit.closes (
    account_id,
    livemode,
    month,
    tz,
    audit_id,
    definition,
    closed_at,
    as_of,
    totals,
    file_sha256,
    file_rows,
    file_bytes
)
values (
    %(account_id)s,
    %(livemode)s,
    %(month)s,
    %(tz)s,
    %(audit_id)s,
    %(definition)s,
    %(closed_at)s,
    %(as_of)s,
    %(totals)s,
    %(file_sha256)s,
    %(file_rows)s,
    %(file_bytes)s
)
on conflict (account_id, livemode, month, tz) do nothing
