-- Grain: one report that is for others and that nobody was told of; of each week the newest only.
select distinct on (r.week_start)
    r.report_id,
    r.week_start,
    r.highlights,
    r.artifacts
from insights.reports as r
where r.to_tell and r.told_at is null
order by r.week_start, r.made_at desc
