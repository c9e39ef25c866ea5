-- Grain: one row of a payment without a charge, corrected to what Stripe says of it.
-- Why the last condition: a row that is right is not written again.
update billing.payments
set
    status = %(status)s,
    captured = %(captured)s,
    currency = %(currency)s,
    amount_minor = %(amount_minor)s,
    refunded_minor = %(refunded_minor)s,
    disputed_minor = %(disputed_minor)s,
    customer_id = %(customer_id)s,
    created_at = to_timestamp(%(created)s),
    written_by = 'repair',
    written_at = %(now)s
where
    payment_id = %(payment_id)s
    and (
        status, captured, currency, amount_minor, refunded_minor, disputed_minor, customer_id,
        created_at
    ) is distinct from (
        %(status)s, %(captured)s, %(currency)s, %(amount_minor)s, %(refunded_minor)s,
        %(disputed_minor)s, %(customer_id)s, to_timestamp(%(created)s)
    )
