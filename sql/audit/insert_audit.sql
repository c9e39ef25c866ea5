-- Grain: one audit. Written once; the same audit again changes only where its reports lie.
insert into audit.audits as stored (
    audit_id,
    account_id,
    livemode,
    month,
    definition,
    state,
    as_of,
    started_at,
    finished_at,
    verdict,
    counts,
    totals,
    sources,
    artifacts,
    sections,
    run_id
)
values (
    %(audit_id)s,
    %(account_id)s,
    %(livemode)s,
    %(month)s,
    %(definition)s,
    %(state)s,
    %(as_of)s,
    %(started_at)s,
    %(finished_at)s,
    %(verdict)s,
    %(counts)s,
    %(totals)s,
    %(sources)s,
    %(artifacts)s,
    %(sections)s,
    %(run_id)s
)
on conflict (audit_id) do update set artifacts = stored.artifacts || excluded.artifacts
