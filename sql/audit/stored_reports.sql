-- Grain: one audit whose report was written, with what keeps that report from being cleaned.
-- Why: the newest and the last good report of a month, and the one that closed it, stay for ever.
select
    audits.audit_id,
    audits.account_id,
    audits.livemode,
    audits.month,
    audits.tz,
    audits.verdict,
    audits.finished_at,
    audits.artifacts,
    row_number() over newest = 1 as is_newest,
    audits.verdict = 'PASS' and row_number() over newest_of_verdict = 1 as is_last_good,
    exists(select 1 from audit.closes where closes.audit_id = audits.audit_id) as is_close
from audit.audits
where audits.artifacts <> '{}'
window
    newest as (
        partition by audits.account_id, audits.livemode, audits.month, audits.tz
        order by audits.as_of desc, audits.finished_at desc, audits.audit_id desc
    ),
    newest_of_verdict as (
        partition by audits.account_id, audits.livemode, audits.month, audits.tz, audits.verdict
        order by audits.as_of desc, audits.finished_at desc, audits.audit_id desc
    )
order by audits.finished_at desc, audits.audit_id desc
