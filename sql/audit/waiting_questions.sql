-- Grain: one asked (object, id) that Stripe is about to be asked about again. Runs in Postgres.
select
    r.object,
    r.id
from unnest(%(objects)s::text [], %(ids)s::text []) as asked (object, id)
inner join billing.refetches as r
    on
        asked.object = r.object
        and asked.id = r.id
        and r.account_id = %(account_id)s
        and r.livemode = %(livemode)s
