-- Withdraws spells, days and the word that they are published of policies that are not among these. In
-- Postgres. Receipts and restatements stay: they tell of what was published then.
with spells as (
    delete from revenue.mrr_spells
    where policy <> all(%(kept)s::text [])
),

days as (
    delete from revenue.mrr_daily
    where policy <> all(%(kept)s::text [])
)

delete from revenue.policies
where policy <> all(%(kept)s::text [])
