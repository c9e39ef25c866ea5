-- Grain: one row: when the oldest event of an account and mode that is not applied yet was received;
-- null if none waits. In Postgres.
select min(received_at)
from billing.inbox
where account_id = %(account_id)s and livemode = %(livemode)s and state = 'received'
