-- Removes everything of a question that is not published any more.
delete from cohorts.active_users
where segment_by = %(segment_by)s
