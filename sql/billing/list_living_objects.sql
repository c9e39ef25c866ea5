-- Grain: one object of a kind that the mirror holds alive, created in [start, end).
-- Why: what a complete list of Stripe no longer has must be asked for before it is called deleted.
select id
from stripe.objects
where
    object = %(object)s
    and account_id = %(account_id)s
    and livemode = %(livemode)s
    and created_at >= %(start)s
    and created_at < %(end)s
    and deleted_at is null
