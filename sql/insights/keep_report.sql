-- Grain: one report. The same facts and claims are the same report: its files are written again, and
-- it is told again only if it never was.
insert into insights.reports (
    report_id, digest_sha256, week_start, weeks, made_at, written_by, why_no_model, highlights,
    claims, refused, artifacts, to_tell, run_id
)
values (
    %(report_id)s, %(digest_sha256)s, %(week_start)s, %(weeks)s, %(made_at)s, %(written_by)s,
    %(why_no_model)s, %(highlights)s, %(claims)s::jsonb, %(refused)s::jsonb, %(artifacts)s::jsonb,
    %(to_tell)s, %(run_id)s
)
on conflict (report_id) do update
    set
        made_at = excluded.made_at,
        highlights = excluded.highlights,
        artifacts = excluded.artifacts,
        to_tell = insights.reports.to_tell or excluded.to_tell,
        run_id = excluded.run_id
