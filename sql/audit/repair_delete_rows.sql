-- Grain: one row of billing.payments that a repair takes out; its image is in the trail.
delete from billing.payments
where payment_id = any(%(payment_ids)s::bigint [])
