-- Marts: how many findings of which class a month has. No evidence, no ids of people.
with fresh as materialized (
    select
        account_id,
        livemode,
        month as month_start,
        tz,
        code,
        severity,
        currency,
        case
            when closed_at is not null then 'closed'
            when suppression is not null then 'suppressed'
            else 'open'
        end as state,
        count(*) as findings,
        coalesce(sum(impact_minor), 0)::bigint as impact_minor,
        count(*) - count(impact_minor) as unknown_impacts
    from audit.findings
    group by 1, 2, 3, 4, 5, 6, 7, 8
),

gone as (
    delete from marts.audit_findings as kept
    where
        not exists (
            select from fresh as f
            where
                (f.account_id, f.livemode, f.month_start, f.tz, f.code, f.severity, f.state)
                = (kept.account_id, kept.livemode, kept.month_start, kept.tz, kept.code, kept.severity, kept.state)
                and f.currency is not distinct from kept.currency
        )
    returning 1
),

written as (
    insert into marts.audit_findings
    (
        account_id, livemode, month_start, tz, code, severity, currency, state, findings, impact_minor,
        unknown_impacts
    )
    select f.*
    from fresh as f
    where not exists (
        select from marts.audit_findings as same
        where
            (same.account_id, same.livemode, same.month_start, same.tz, same.code, same.severity, same.state)
            = (f.account_id, f.livemode, f.month_start, f.tz, f.code, f.severity, f.state)
            and same.currency is not distinct from f.currency
            and (same.findings, same.impact_minor, same.unknown_impacts)
            = (f.findings, f.impact_minor, f.unknown_impacts)
    )
    on conflict (account_id, livemode, month_start, tz, code, severity, currency, state) do update set
    findings = excluded.findings,
    impact_minor = excluded.impact_minor,
    unknown_impacts = excluded.unknown_impacts,
    refreshed_at = excluded.refreshed_at
    returning 1
)

select
    (select count(*) from written) as written,
    (select count(*) from gone) as removed;
