-- Grain: one subscription of the asked ids that the mirror knows, ended and deleted ones too.
select
    id,
    customer,
    status
from stripe.subscriptions
where
    account_id = any(%(accounts)s::text [])
    and livemode = %(livemode)s
    and id = any(%(ids)s::text [])
