-- Grain: one asked event id that the ledger of an account and mode lacks. Runs in Postgres.
select asked.id
from unnest(%(ids)s::text []) as asked (id)
where
    not exists (
        select
        from billing.inbox
        where
            inbox.account_id = %(account_id)s
            and inbox.livemode = %(livemode)s
            and inbox.event_id = asked.id
    )
