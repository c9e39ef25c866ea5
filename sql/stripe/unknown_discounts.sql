-- Grain: one object with an asked discount of which only the id is known: Stripe must be asked.
select distinct
    asked.account_id,
    asked.livemode,
    asked.parent_object,
    asked.parent_id
from unnest(
    %(account_ids)b::text [],
    %(livemodes)b::boolean [],
    %(parent_objects)b::text [],
    %(parent_ids)b::text [],
    %(owner_ids)b::text [],
    %(ids)b::text []
) as asked (account_id, livemode, parent_object, parent_id, owner_id, id)
inner join stripe.discounts as entry
    on
        asked.account_id = entry.account_id
        and asked.livemode = entry.livemode
        and asked.parent_object = entry.parent_object
        and asked.parent_id = entry.parent_id
        and asked.owner_id = entry.owner_id
        and asked.id = entry.id
where entry.payload is null
