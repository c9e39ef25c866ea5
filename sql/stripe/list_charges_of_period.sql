-- Grain: one charge of a scope created in [start, end), in the order of its id, after a given id.
select id
from stripe.charges
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and created_at >= %(start)s
    and created_at < %(end)s
    and id > %(after)s
order by id
limit %(limit)s
