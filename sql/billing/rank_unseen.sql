-- Grain: one of the asked objects, with how many of its kind the mirror knows that were made since
-- then and before `until`. Why: so many a list would show on the way back to it; asking for each may
-- take fewer requests, or more.
with kind as (
    select
        id,
        created_at,
        count(*) over (order by created_at desc) as newer
    from stripe.objects
    where
        account_id = %(account_id)s
        and livemode = %(livemode)s
        and object = %(object)s
        and created_at < %(until)s
)

select
    kind.id,
    kind.created_at,
    kind.newer
from kind
inner join unnest(%(ids)s::text []) as asked (id) on kind.id = asked.id
order by kind.created_at desc, kind.id
