-- Removes the changes of policies that are not published any more. In Postgres.
delete from revenue.mrr_changes
where policy <> all(%(kept)s::text [])
