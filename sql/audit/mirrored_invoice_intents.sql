-- Grain: one of the asked invoices that one payment intent paid, as far as the mirror knows.
-- Why: since the version basil neither invoice nor charge names the other. Runs in Postgres.
select
    invoice,
    min(payment_intent) as payment_intent
from stripe.invoice_payments
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and invoice = any(%(invoices)s::text [])
group by invoice
having count(distinct payment_intent) = 1
