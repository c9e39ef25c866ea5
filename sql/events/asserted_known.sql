-- Grain: one row: how far the mirror can speak about what happened at Stripe, of every account; nulls
-- while it has heard nothing. Runs in Postgres.
-- Why the sweeps first: they say up to when every event is here, without reading the inbox. Events
-- that wait to be applied are here, but not yet in the mirror.
with heard as (
    select
        coalesce(
            sweep.told_since,
            (select min(inbox.created_at) from billing.inbox as inbox where inbox.account_id = account.id and inbox.livemode = %(livemode)s)
        ) as since,
        coalesce(
            sweep.swept_to,
            (select max(inbox.created_at) from billing.inbox as inbox where inbox.account_id = account.id and inbox.livemode = %(livemode)s)
        ) as as_of,
        (
            select min(inbox.created_at)
            from billing.inbox as inbox
            where
                inbox.state = 'received'
                and inbox.account_id = account.id
                and inbox.livemode = %(livemode)s
        ) as waiting
    from unnest(%(accounts)s::text []) as account (id)
    left join billing.sweeps as sweep on sweep.account_id = account.id and sweep.livemode = %(livemode)s
)

select
    max(since) as since,
    min(least(as_of, waiting)) as as_of
from heard
