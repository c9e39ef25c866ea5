-- Counts of a day that are made again.
delete from lifecycle.score_days
where day = %(day)s
