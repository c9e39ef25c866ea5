-- Grain: one row: when a webhook last came in after an instant; null if none did. In Postgres.
select max(received_at) as received_at
from billing.inbox
where
    received_at > %(since)s
    and source = 'webhook'
    and account_id = %(account_id)s
    and livemode = %(livemode)s
