-- Grain: one object of a scope that Stripe is to be asked about by now; at most one row.
select 1
from billing.refetches
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and due_at <= %(now)s
limit 1
