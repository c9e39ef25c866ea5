-- Grain: one decision of an account and mode not to count some findings, that nobody lifted.
select
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
    lifted_at,
    lifted_by,
    severity,
    codes,
    impacts_minor
from audit.suppressions
where account_id = %(account_id)s and livemode = %(livemode)s and lifted_at is null
order by suppressed_at, suppression_id
