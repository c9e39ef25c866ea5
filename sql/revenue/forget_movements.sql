-- Removes the movements of policies that are not published any more. In Postgres.
delete from revenue.mrr_movements
where policy <> all(%(kept)s::text [])
