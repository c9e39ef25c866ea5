-- Grain: one of the asked invoices that the mirror knows to be paid. Runs in Postgres.
select id
from stripe.invoices
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and id = any(%(ids)s::text [])
    and status = 'paid'
