-- Grain: one object that waits to be asked about, if it does.
select
    reason,
    due_at,
    attempts,
    last_error
from billing.refetches
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and object = %(object)s
    and id = %(id)s
