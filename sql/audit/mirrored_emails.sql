-- Grain: one of the asked customers with the e-mail address that the mirror has. In Postgres.
select
    id,
    email
from stripe.customers
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and id = any(%(ids)s::text [])
