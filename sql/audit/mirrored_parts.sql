-- Grain: one refund or dispute that the mirror knows of the asked charges. Runs in Postgres.
select
    'refund' as object,
    id,
    charge
from stripe.refunds
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and charge = any(%(charges)s::text [])

union all

select
    'dispute' as object,
    id,
    charge
from stripe.disputes
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and charge = any(%(charges)s::text [])
