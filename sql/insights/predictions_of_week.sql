-- Grain: one fact and author: what the newest report of the week before said of it.
select distinct on (p.fact_id, p.written_by)
    p.report_id,
    p.fact_id,
    p.direction,
    p.written_by,
    p.value_then
from insights.predictions as p
inner join insights.reports as r on p.report_id = r.report_id
where p.week_start = %(week_start)s
order by p.fact_id, p.written_by, r.made_at desc, p.report_id
