-- Grain: one refund or dispute that the mirror knows of the asked charges. Runs in Postgres.
select
    object,
    id,
    payload ->> 'charge' as charge
from billing.objects
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and object in ('refund', 'dispute')
    and payload ->> 'charge' = any(%(charges)s::text [])
