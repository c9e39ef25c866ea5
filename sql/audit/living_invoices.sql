-- Grain: one living row of stripe.invoices of the month, with the fields that no other class names.
-- Instants in epoch seconds, as the extract has them. Runs in Postgres.
select
    id,
    api_version,
    state_at,
    customer,
    subscription,
    billing_reason,
    number,
    collection_method,
    subtotal,
    extract(epoch from due_date)::int8 as due_date,
    extract(epoch from period_start)::int8 as period_start,
    extract(epoch from period_end)::int8 as period_end
from stripe.invoices
where
    account_id = %(account_id)s
    and livemode = %(livemode)s
    and created_at >= %(start)s
    and created_at < %(end)s
    and deleted_at is null
