-- Grain: one account and mode that was swept; since when events were told of it, null for never.
select told_since
from billing.sweeps
where account_id = %(account_id)s and livemode = %(livemode)s
