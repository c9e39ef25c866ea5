-- Grain: one row: when the oldest event was made that anybody told us of; null before the first.
-- The sweep keeps it; without a sweep the inbox is looked through. Runs in Postgres.
select
    coalesce(
        (
            select told_since
            from billing.sweeps
            where account_id = %(account_id)s and livemode = %(livemode)s
        ),
        (
            select min(created_at)
            from billing.inbox
            where account_id = %(account_id)s and livemode = %(livemode)s
        )
    ) as told_since
