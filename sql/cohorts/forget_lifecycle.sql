-- Removes everything of a question that is not published any more.
delete from cohorts.lifecycle
where segment_by = %(segment_by)s
