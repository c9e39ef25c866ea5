-- Grain: one row of billing.payments as JSON: of the asked numbers, or booked by the mirror for one
-- of the asked charges. Runs in Postgres.
select
    payments.payment_id,
    payments.written_by = 'mirror' as is_mirror,
    payments.account_id,
    payments.livemode,
    payments.charge_id,
    to_jsonb(payments.*) as image
from billing.payments
where
    payments.payment_id = any(%(payment_ids)s::bigint [])
    or (
        payments.written_by = 'mirror'
        and (payments.account_id, payments.livemode, payments.charge_id) in (
            select
                asked.account_id,
                asked.livemode,
                asked.charge_id
            from unnest(%(account_ids)b::text [], %(livemodes)b::boolean [], %(charge_ids)b::text [])
                as asked (account_id, livemode, charge_id)
        )
    )
order by payments.payment_id
