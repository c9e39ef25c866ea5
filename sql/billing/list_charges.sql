-- Grain: one charge of the mirror, in the order of its key, after a given one.
select
    account_id,
    livemode,
    id
from stripe.charges
where (account_id, livemode, id) > (%(account_id)s::text, %(livemode)s::boolean, %(id)s::text)
order by account_id, livemode, id
limit %(limit)s
