-- Audit: findings with the instant at which they were seen last.
-- Why a view: an audit does not write a finding again that is as it was, so that the audit, not the
-- row, says that it was seen.

-- Grain: one finding of one month.
create view audit.seen_findings with (security_invoker = true) as
select
    f.account_id,
    f.livemode,
    f.month,
    f.tz,
    f.fingerprint,
    f.audit_id,
    f.code,
    f.severity,
    f.object,
    f.object_id,
    f.currency,
    f.impact_minor,
    f.also,
    f.cause,
    f.action,
    f.command,
    f.evidence,
    f.owner,
    f.suppression,
    f.first_seen_at,
    case
        when f.closed_at is null then greatest(f.last_seen_at, newest.finished_at)
        else f.last_seen_at
    end as last_seen_at,
    f.closed_at
from audit.findings as f
left join (
    select
        account_id,
        livemode,
        month,
        tz,
        max(finished_at) as finished_at
    from audit.audits
    group by account_id, livemode, month, tz
) as newest
    on
        f.account_id = newest.account_id
        and f.livemode = newest.livemode
        and f.month = newest.month
        and f.tz = newest.tz;
comment on view audit.seen_findings is 'Grain: one finding. last_seen_at: of an open one the newest audit of its month; the table has when it was written last.';
