-- Grain: one report whose files were written and not cleaned, newest first.
select
    r.report_id,
    r.week_start,
    r.made_at,
    r.artifacts
from insights.reports as r
where r.artifacts <> '{}'
order by r.made_at desc, r.report_id asc
