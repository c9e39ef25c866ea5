-- Grain: one applied event of an asked object, from a given instant on.
-- Why: states of one second are ordered by looking at all of them, not only at the last that won.
select
    inbox.account_id,
    inbox.livemode,
    inbox.object,
    inbox.object_id,
    inbox.body
from unnest(
    %(account_ids)b::text [],
    %(livemodes)b::boolean [],
    %(objects)b::text [],
    %(ids)b::text [],
    %(since)b::timestamptz []
) as asked (account_id, livemode, object, id, since)
inner join billing.inbox
    on
        asked.account_id = inbox.account_id
        and asked.livemode = inbox.livemode
        and asked.object = inbox.object
        and asked.id = inbox.object_id
        and asked.since <= inbox.created_at
where inbox.state = 'applied'
