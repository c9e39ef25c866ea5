-- Grain: one payment the mirror books, at most one a charge. Unchanged rows are not written again.
-- Result: the charges whose row was written, and whether it is new (`xmax = 0`: nothing was replaced).
insert into billing.payments as stored (
    account_id, livemode, charge_id, payment_intent_id, invoice_id, customer_id, status, captured,
    currency, amount_minor, refunded_minor, disputed_minor, fee_minor, net_minor,
    settlement_currency, created_at, written_by, written_at
)
select
    new.*,
    'mirror' as written_by,
    %(now)s as written_at
from unnest(
    %(account_ids)b::text [],
    %(livemodes)b::boolean [],
    %(charge_ids)b::text [],
    %(payment_intent_ids)b::text [],
    %(invoice_ids)b::text [],
    %(customer_ids)b::text [],
    %(statuses)b::text [],
    %(captureds)b::boolean [],
    %(currencies)b::text [],
    %(amounts)b::bigint [],
    %(refundeds)b::bigint [],
    %(disputeds)b::bigint [],
    %(fees)b::bigint [],
    %(nets)b::bigint [],
    %(settlement_currencies)b::text [],
    %(created_ats)b::timestamptz []
)
    as new (
        account_id, livemode, charge_id, payment_intent_id, invoice_id, customer_id, status,
        captured, currency, amount_minor, refunded_minor, disputed_minor, fee_minor, net_minor,
        settlement_currency, created_at
    )
order by new.account_id, new.livemode, new.charge_id
on conflict (account_id, livemode, charge_id) where written_by = 'mirror' do update set
payment_intent_id = excluded.payment_intent_id,
invoice_id = excluded.invoice_id,
customer_id = excluded.customer_id,
status = excluded.status,
captured = excluded.captured,
currency = excluded.currency,
amount_minor = excluded.amount_minor,
refunded_minor = excluded.refunded_minor,
disputed_minor = excluded.disputed_minor,
fee_minor = excluded.fee_minor,
net_minor = excluded.net_minor,
settlement_currency = excluded.settlement_currency,
created_at = excluded.created_at,
written_at = excluded.written_at
where
    (
        stored.payment_intent_id, stored.invoice_id, stored.customer_id, stored.status,
        stored.captured, stored.currency, stored.amount_minor, stored.refunded_minor,
        stored.disputed_minor, stored.fee_minor, stored.net_minor, stored.settlement_currency,
        stored.created_at
    ) is distinct from (
        excluded.payment_intent_id, excluded.invoice_id, excluded.customer_id, excluded.status,
        excluded.captured, excluded.currency, excluded.amount_minor, excluded.refunded_minor,
        excluded.disputed_minor, excluded.fee_minor, excluded.net_minor,
        excluded.settlement_currency, excluded.created_at
    )
returning account_id, livemode, charge_id, xmax = 0 as inserted
