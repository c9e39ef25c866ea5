-- Grain: one applied event of an asked object, from a given instant on.
-- Why: states of one second are ordered by looking at all of them, not only at the last that won.
-- Why lateral and `offset 0`: each key is one index look-up, also while statistics are young.
select
    asked.account_id,
    asked.livemode,
    asked.object,
    asked.id,
    rival.body
from unnest(
    %(account_ids)b::text [],
    %(livemodes)b::boolean [],
    %(objects)b::text [],
    %(ids)b::text [],
    %(since)b::timestamptz []
) as asked (account_id, livemode, object, id, since)
cross join lateral (
    select inbox.body
    from billing.inbox
    where
        inbox.account_id = asked.account_id
        and inbox.livemode = asked.livemode
        and inbox.object = asked.object
        and inbox.object_id = asked.id
        and inbox.created_at >= asked.since
        and inbox.state = 'applied'
    offset 0
) as rival
