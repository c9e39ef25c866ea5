-- Removes a question that is not published any more.
delete from cohorts.activity_definitions
where question = %(question)s and name = %(name)s and segment_by = %(segment_by)s
