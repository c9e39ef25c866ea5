-- Grain: one payment method of the asked ids that the mirror knows; a detached one has no customer.
select
    id,
    customer
from stripe.payment_methods
where
    account_id = any(%(accounts)s::text [])
    and livemode = %(livemode)s
    and id = any(%(ids)s::text [])
