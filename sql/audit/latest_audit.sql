-- Grain: at most one row: the audit of a month with the latest as-of instant; of those of
-- one instant, the one that finished last.
select
    audit_id,
    definition,
    state,
    as_of,
    started_at,
    finished_at,
    verdict,
    totals,
    sources,
    artifacts,
    sections,
    changes,
    boundaries,
    close,
    run_id
from audit.audits
where
    account_id = %(account_id)s and livemode = %(livemode)s and month = %(month)s and tz = %(tz)s
order by as_of desc, finished_at desc, audit_id desc
limit 1
