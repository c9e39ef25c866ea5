-- Grain: one row of billing.payments as JSON, held until the transaction ends.
-- Why ordered: two repairs that hold the same rows take them in one order.
select
    payments.payment_id,
    to_jsonb(payments.*) as image
from billing.payments
where payments.payment_id = any(%(payment_ids)s::bigint [])
order by payments.payment_id
for update
