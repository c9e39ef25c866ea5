-- Counts of a day that are made again.
delete from lifecycle.stage_days
where day = %(day)s
