-- Grain: one of the asked invoices that one payment intent paid, as far as the mirror knows.
-- Why: since the version basil neither invoice nor charge names the other. Runs in Postgres.
select
    payload ->> 'invoice' as invoice,
    min(payload #>> '{payment,payment_intent}') as payment_intent
from billing.objects
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and object = 'invoice_payment'
    and payload ->> 'invoice' = any(%(invoices)s::text [])
group by payload ->> 'invoice'
having count(distinct payload #>> '{payment,payment_intent}') = 1
