-- Grain: one account and one of the asked months that was audited: what its newest audit said, and
-- the findings of it that are open and count.
select distinct on (a.account_id, a.month)
    a.month,
    a.verdict,
    a.as_of,
    (
        select jsonb_object_agg(s.severity, s.findings)
        from (
            select f.severity, count(*) as findings
            from audit.findings as f
            where
                f.account_id = a.account_id
                and f.livemode = a.livemode
                and f.month = a.month
                and f.tz = a.tz
                and f.closed_at is null
                and f.suppression is null
            group by f.severity
        ) as s
    ) as open_findings
from audit.audits as a
where
    a.account_id = any(%(accounts)s::text [])
    and a.livemode = %(livemode)s
    and a.month = any(%(months)s)
order by a.account_id asc, a.month asc, a.finished_at desc
