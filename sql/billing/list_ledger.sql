-- Grain: one object of which the ledger holds a state, in the order of its key, after a given one.
select
    account_id,
    livemode,
    object,
    id
from (
    select
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
    union
    select
        account_id,
        livemode,
        object,
        id
    from billing.fetched_states
    where
        refused is null
        and (account_id, livemode, object, id)
        > (%(account_id)s::text, %(livemode)s::boolean, %(object)s::text, %(id)s::text)
) as known
order by account_id, livemode, object, id
limit %(limit)s
