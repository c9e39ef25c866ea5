-- Grain: one asked object that Stripe once said to be gone, when it was asked.
-- Why: an object that is new to the mirror may be known to be gone already.
select
    asked.account_id,
    asked.livemode,
    asked.object,
    asked.id
from unnest(
    %(account_ids)b::text [], %(livemodes)b::boolean [], %(objects)b::text [], %(ids)b::text []
) as asked (account_id, livemode, object, id)
where
    exists (
        select 1
        from billing.fetched_states as fetched
        where
            fetched.gone
            and fetched.account_id = asked.account_id
            and fetched.livemode = asked.livemode
            and fetched.object = asked.object
            and fetched.id = asked.id
    )
