-- Grain: one row: how many spells a policy has. In Postgres.
select count(*) from revenue.mrr_spells where policy = %(policy)s
