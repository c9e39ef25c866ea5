-- Grain: one row: whether the mirror holds anything of this account and mode. Runs in Postgres.
-- Why: an empty mirror means that nobody filled it, not that every object is missing.
select
    exists(
        select 1 from stripe.objects where account_id = %(account_id)s and livemode = %(livemode)s
    ) as is_used
