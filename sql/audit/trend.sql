-- Grain: one month; its newest audit, of the last months up to a given one that were audited.
-- Severities are those of its open findings that count: a class may have findings of several.
select distinct on (seen.month)
    seen.month,
    seen.state,
    seen.verdict,
    (
        select coalesce(jsonb_object_agg(found.severity, found.number), '{}'::jsonb)
        from (
            select
                open.severity,
                count(*) as number
            from audit.findings as open
            where
                open.account_id = seen.account_id
                and open.livemode = seen.livemode
                and open.month = seen.month
                and open.tz = seen.tz
                and open.closed_at is null
                and open.suppression is null
            group by open.severity
        ) as found
    ) as severities,
    seen.totals,
    seen.finished_at
from audit.audits as seen
where
    seen.account_id = %(account_id)s
    and seen.livemode = %(livemode)s
    and seen.tz = %(tz)s
    and seen.month <= %(month)s
order by seen.month desc, seen.as_of desc, seen.finished_at desc, seen.audit_id desc
limit %(months)s
