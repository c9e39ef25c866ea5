-- Removes the figures of policies that are not published any more. In Postgres.
delete from revenue.figures
where policy <> all(%(kept)s::text []) and policy <> ''
