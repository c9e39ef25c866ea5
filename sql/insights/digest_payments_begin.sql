-- Grain: one row: when the first settled payment of the books was made, null for none; and up to when
-- sweeps have read all that Stripe told of every account, null where none has.
select
    (
        select min(first_of.created_at)
        from unnest(%(accounts)s::text []) as account (account_id)
        cross join lateral (
            select p.created_at
            from billing.payments as p
            where
                p.account_id = account.account_id
                and p.livemode = %(livemode)s
                and p.status = 'succeeded'
                and p.captured
            order by p.created_at asc
            limit 1
        ) as first_of
    ) as first_at,
    (
        select min(s.swept_to)
        from billing.sweeps as s
        where s.account_id = any(%(accounts)s::text []) and s.livemode = %(livemode)s
    ) as swept_to
