-- Grain: one checkout session of the asked ids that the mirror knows.
select
    id,
    customer,
    status
from stripe.checkout_sessions
where
    account_id = any(%(accounts)s::text [])
    and livemode = %(livemode)s
    and id = any(%(ids)s::text [])
