-- Writes the staged spells that are not published yet; those that differ were removed before. In
-- Postgres.
insert into revenue.mrr_spells
select staged.* from growth_staging as staged
on conflict (policy, account_id, subscription_id, item_id, from_at) do nothing
