-- Grain: one prediction. A later report of the same week grades it again with what is known then.
update insights.predictions
set graded_at = %(now)s, value_now = %(value_now)s, came = %(came)s, grade = %(grade)s
where
    report_id = %(report_id)s
    and fact_id = %(fact_id)s
    and written_by = %(written_by)s
    and (value_now, came, grade) is distinct from (%(value_now)s, %(came)s, %(grade)s)
