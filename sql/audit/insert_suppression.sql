-- Grain: one decision not to count some findings.
insert into audit.suppressions (
    suppression_id,
    account_id,
    livemode,
    fingerprint,
    code,
    month,
    reason,
    suppressed_by,
    suppressed_at,
    until,
    severity,
    codes,
    impacts_minor
)
values (
    %(suppression_id)s,
    %(account_id)s,
    %(livemode)s,
    %(fingerprint)s,
    %(code)s,
    %(month)s,
    %(reason)s,
    %(suppressed_by)s,
    %(suppressed_at)s,
    %(until)s,
    %(severity)s,
    %(codes)s,
    %(impacts_minor)s
)
on conflict (suppression_id) do nothing
