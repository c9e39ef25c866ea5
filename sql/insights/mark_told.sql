-- Grain: one report that was told, and older ones of its week, which need not be told any more.
update insights.reports as r
set told_at = %(now)s
from insights.reports as told
where
    told.report_id = any(%(report_ids)s)
    and r.week_start = told.week_start
    and r.made_at <= told.made_at
    and r.to_tell
    and r.told_at is null
