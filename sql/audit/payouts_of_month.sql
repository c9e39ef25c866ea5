-- Grain: one payout of the month; there are few, a day and currency make one. Runs in the engine.
select
    id,
    created,
    currency,
    amount,
    status,
    automatic,
    arrival_date,
    reconciliation_status,
    method,
    balance_transaction,
    failure_balance_transaction,
    failure_code
from payouts
order by created, id
