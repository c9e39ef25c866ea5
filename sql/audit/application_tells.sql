-- Grain: one row: whether the application tells anything about this account and mode. In Postgres.
select
    exists(
        select 1
        from billing.entitlements
        where account_id = %(account_id)s and livemode = %(livemode)s
    ) as entitlements,
    exists(
        select 1
        from billing.user_customers
        where account_id = %(account_id)s and livemode = %(livemode)s
    ) as users
