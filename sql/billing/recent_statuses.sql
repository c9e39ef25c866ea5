-- Grain: one status of one kind of object, among the objects whose state is not older than a day given.
-- Why: Stripe adds statuses; one that we do not know counts as not final and not settled, unseen.
select
    'payment_intent' as object,
    status,
    count(*) as objects,
    min(id) as example
from stripe.payment_intents
where state_at >= %(since)s and status is not null and deleted_at is null
group by status
union all
select
    'charge',
    status,
    count(*),
    min(id)
from stripe.charges
where state_at >= %(since)s and status is not null and deleted_at is null
group by status
union all
select
    'invoice',
    status,
    count(*),
    min(id)
from stripe.invoices
where state_at >= %(since)s and status is not null and deleted_at is null
group by status
union all
select
    'invoice_payment',
    status,
    count(*),
    min(id)
from stripe.invoice_payments
where state_at >= %(since)s and status is not null and deleted_at is null
group by status
union all
select
    'subscription',
    status,
    count(*),
    min(id)
from stripe.subscriptions
where state_at >= %(since)s and status is not null and deleted_at is null
group by status
union all
select
    'refund',
    status,
    count(*),
    min(id)
from stripe.refunds
where state_at >= %(since)s and status is not null and deleted_at is null
group by status
union all
select
    'dispute',
    status,
    count(*),
    min(id)
from stripe.disputes
where state_at >= %(since)s and status is not null and deleted_at is null
group by status
union all
select
    'balance_transaction',
    status,
    count(*),
    min(id)
from stripe.balance_transactions
where state_at >= %(since)s and status is not null and deleted_at is null
group by status
union all
select
    'payout',
    status,
    count(*),
    min(id)
from stripe.payouts
where state_at >= %(since)s and status is not null and deleted_at is null
group by status
union all
select
    'credit_note',
    status,
    count(*),
    min(id)
from stripe.credit_notes
where state_at >= %(since)s and status is not null and deleted_at is null
group by status
union all
select
    'checkout.session',
    status,
    count(*),
    min(id)
from stripe.checkout_sessions
where state_at >= %(since)s and status is not null and deleted_at is null
group by status
union all
select
    'subscription_schedule',
    status,
    count(*),
    min(id)
from stripe.subscription_schedules
where state_at >= %(since)s and status is not null and deleted_at is null
group by status
