-- Grain: one object whose answer is being applied. Only the holder of the claim ends it: a slower
-- one, whose claim ran out or whose object got a new doubt, leaves it waiting.
delete from billing.refetches as waiting
using unnest(
    %(account_ids)b::text [], %(livemodes)b::boolean [], %(objects)b::text [], %(ids)b::text []
) as asked (account_id, livemode, object, id)
where
    waiting.account_id = asked.account_id
    and waiting.livemode = asked.livemode
    and waiting.object = asked.object
    and waiting.id = asked.id
    and waiting.claim = %(claim)s
