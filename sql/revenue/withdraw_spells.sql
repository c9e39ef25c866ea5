-- Removes published spells that are not staged any more, or in another way, of all customers or of
-- some. In Postgres.
delete from revenue.mrr_spells as stored
where
    stored.policy = %(policy)s
    and (
        %(is_whole)s
        or (stored.account_id, stored.customer_id) in (
            select account_id, customer_id
            from unnest(%(accounts)s::text [], %(customers)s::text []) as t (account_id, customer_id)
        )
    )
    and not exists (
        select from growth_staging as staged
        where
            staged.account_id = stored.account_id
            and staged.subscription_id = stored.subscription_id
            and staged.item_id = stored.item_id
            and staged.from_at = stored.from_at
            and staged is not distinct from stored
    )
