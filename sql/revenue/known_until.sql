-- Grain: one row: the instant up to which everything of an account and mode is in the mirror: what sweeps
-- read whole, else the newest event; null without either. In Postgres.
select
    coalesce(
        (select swept_to from billing.sweeps where account_id = %(account_id)s and livemode = %(livemode)s),
        (
            select max(created_at)
            from billing.inbox
            where account_id = %(account_id)s and livemode = %(livemode)s and state = 'applied'
        ),
        (
            select max(state_from)
            from billing.fetched_states
            where account_id = %(account_id)s and livemode = %(livemode)s and object = 'subscription'
        )
    )
