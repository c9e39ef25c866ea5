-- Grain: one object that later states decided and completed: nobody needs to ask Stripe any more.
-- A thin event carried no state, so it waits for its answer.
delete from billing.refetches as waiting
using unnest(
    %(account_ids)b::text [], %(livemodes)b::boolean [], %(objects)b::text [], %(ids)b::text []
) as settled (account_id, livemode, object, id)
where
    waiting.account_id = settled.account_id
    and waiting.livemode = settled.livemode
    and waiting.object = settled.object
    and waiting.id = settled.id
    and waiting.reason <> 'thin_event'
