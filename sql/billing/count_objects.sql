-- Grain: one of the kinds asked for, of a scope, with the number of its objects that are not deleted.
select
    object,
    count(*) as objects
from stripe.objects
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and object = any(%(objects)s)
    and deleted_at is null
group by object
