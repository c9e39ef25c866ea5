-- Removes everything of a question that is not published any more.
delete from cohorts.funnels
where funnel = %(name)s and segment_by = %(segment_by)s
