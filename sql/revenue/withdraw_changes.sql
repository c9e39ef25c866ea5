-- Removes changes of customers under a policy that its answer does not have any more. In Postgres.
delete from revenue.mrr_changes as t
where
    t.policy = %(policy)s
    and not exists (
        select from growth_staging as s
        where
            s.period_start = t.period_start
            and s.account_id = t.account_id
            and s.customer_id = t.customer_id
            and s.currency = t.currency
            and s.change_number = t.change_number
    )
