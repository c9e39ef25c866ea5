-- Grain: one object of which the ledger holds a state, in the order of its key, after a given one.
-- Why each half has its own limit: so that a page reads a page of each index, not all that follows.
select
    account_id,
    livemode,
    object,
    id
from (
    (
        select distinct
            account_id,
            livemode,
            object,
            object_id as id
        from billing.inbox
        where
            object_id is not null
            and state = 'applied'
            and (account_id, livemode, object, object_id)
            > (%(account_id)s::text, %(livemode)s::boolean, %(object)s::text, %(id)s::text)
        order by account_id, livemode, object, id
        limit %(limit)s
    )
    union
    (
        select distinct
            account_id,
            livemode,
            object,
            id
        from billing.fetched_states
        where
            refused is null
            and (account_id, livemode, object, id)
            > (%(account_id)s::text, %(livemode)s::boolean, %(object)s::text, %(id)s::text)
        order by account_id, livemode, object, id
        limit %(limit)s
    )
) as known
order by account_id, livemode, object, id
limit %(limit)s
