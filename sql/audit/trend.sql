-- Grain: one month; its newest audit, of the last months up to a given one that were audited.
select distinct on (month)
    month,
    state,
    verdict,
    counts,
    totals,
    finished_at
from audit.audits
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and tz = %(tz)s
    and month <= %(month)s
order by month desc, as_of desc, finished_at desc, audit_id desc
limit %(months)s
