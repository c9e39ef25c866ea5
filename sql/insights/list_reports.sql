-- Grain: one report, newest first.
select
    r.report_id,
    r.week_start,
    r.weeks,
    r.made_at,
    r.written_by,
    r.why_no_model,
    r.highlights,
    r.digest_sha256,
    r.artifacts,
    r.told_at
from insights.reports as r
order by r.week_start desc, r.made_at desc
limit %(limit)s
