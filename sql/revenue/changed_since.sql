-- Grain: one row: the first local day on which staged and published spells differ; null where none does.
-- In Postgres.
select min(from_on) from growth_differences
