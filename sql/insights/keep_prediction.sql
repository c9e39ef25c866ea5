-- Grain: one prediction of one report. Why "do nothing": what was said once is not said better later.
insert into insights.predictions (report_id, week_start, fact_id, direction, written_by, value_then)
values (%(report_id)s, %(week_start)s, %(fact_id)s, %(direction)s, %(written_by)s, %(value_then)s)
on conflict (report_id, fact_id, written_by) do nothing
