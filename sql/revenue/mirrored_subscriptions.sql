-- Grain: one subscription of an account and mode that the mirror has known, as it is, since an instant.
-- In Postgres.
select id
from stripe.subscriptions
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and customer is not null
    and applied_at <= %(known_at)s
