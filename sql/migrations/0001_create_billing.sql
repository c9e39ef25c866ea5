-- Billing: what Stripe told us (inbox), what it means now (objects), and our books (payments).
-- Why raw bytes first: everything after the inbox can be rebuilt from it. Contract: docs/stripe.md.
create schema billing;

-- Grain: one Stripe event of one account and mode, stored as received. Never changed but for its state.
create table billing.inbox (
    account_id text not null,
    livemode boolean not null,
    event_id text not null,
    type text not null,
    api_version text,
    created_at timestamptz not null,
    received_at timestamptz not null,
    source text not null default 'webhook' check (source in ('webhook', 'sweep', 'replay')),
    body bytea not null,
    state text not null default 'received'
    check (state in ('received', 'applied', 'ignored', 'quarantined')),
    reason text,
    applied_at timestamptz,
    primary key (account_id, livemode, event_id)
);
comment on table billing.inbox is 'Grain: one Stripe event, raw bytes as received. The source everything else is rebuilt from.';
create index inbox_waiting on billing.inbox (created_at, event_id) where state = 'received';
create index inbox_quarantined on billing.inbox (received_at) where state = 'quarantined';

-- Grain: one Stripe object in its newest known state.
create table billing.objects (
    account_id text not null,
    livemode boolean not null,
    object text not null,
    id text not null,
    api_version text not null,
    payload jsonb not null,
    created_at timestamptz,
    state_from timestamptz not null,
    state_at timestamptz not null,
    origin text not null check (origin in ('event', 'fetch')),
    event_id text,
    undecided boolean not null default false,
    deleted_at timestamptz,
    applied_at timestamptz not null,
    primary key (account_id, livemode, object, id),
    check (state_from <= state_at)
);
comment on table billing.objects is 'Grain: one Stripe object, newest known state as raw JSON. [state_from, state_at] is when Stripe said so.';
comment on column billing.objects.undecided is 'Two states of one second could not be ordered without asking Stripe.';
comment on column billing.objects.deleted_at is 'Tombstone: Stripe said the object is gone. Rows are never deleted.';
create index objects_of_charge on billing.objects (account_id, livemode, (payload ->> 'charge'))
where object in ('refund', 'dispute');

-- Grain: one booked payment (a charge). Our pipeline writes at most one row a charge (written_by
-- 'mirror'); rows imported or written by hand may repeat one, and the audit finds them.
create table billing.payments (
    payment_id bigint generated always as identity primary key,
    account_id text not null,
    livemode boolean not null,
    charge_id text,
    payment_intent_id text,
    invoice_id text,
    customer_id text,
    status text not null,
    captured boolean not null,
    currency text not null check (currency = lower(currency)),
    amount_minor bigint not null,
    refunded_minor bigint not null default 0,
    disputed_minor bigint not null default 0,
    fee_minor bigint,
    net_minor bigint,
    settlement_currency text,
    created_at timestamptz not null,
    written_by text not null check (written_by in ('mirror', 'repair', 'import', 'hand')),
    written_at timestamptz not null,
    check (charge_id is not null or payment_intent_id is not null or invoice_id is not null)
);
comment on table billing.payments is 'Grain: one booked payment (a charge). amount_minor: captured if captured, else asked for; minor units of currency.';
comment on column billing.payments.refunded_minor is 'Refunds in succeeded or pending, minor units of currency.';
comment on column billing.payments.disputed_minor is 'Dispute funds withdrawn less reinstated, minor units of currency.';
comment on column billing.payments.fee_minor is 'Stripe fee of the charge, minor units of settlement_currency; null while unknown.';
create unique index payments_one_mirror_row_a_charge
on billing.payments (account_id, livemode, charge_id) where written_by = 'mirror';
create index payments_by_charge on billing.payments (account_id, livemode, charge_id);
create index payments_by_month on billing.payments (account_id, livemode, created_at);

-- Grain of each view: one Stripe object of its type, with the columns people ask for, by Stripe's names.
create view billing.charges with (security_invoker = true) as
select
    account_id,
    livemode,
    id,
    payload ->> 'customer' as customer,
    payload ->> 'payment_intent' as payment_intent,
    payload ->> 'status' as status,
    payload ->> 'currency' as currency,
    (payload ->> 'amount')::bigint as amount,
    (payload ->> 'amount_captured')::bigint as amount_captured,
    (payload ->> 'amount_refunded')::bigint as amount_refunded,
    (payload ->> 'captured')::boolean as captured,
    created_at,
    deleted_at,
    payload
from billing.objects where object = 'charge';

create view billing.payment_intents with (security_invoker = true) as
select
    account_id,
    livemode,
    id,
    payload ->> 'customer' as customer,
    payload ->> 'latest_charge' as latest_charge,
    payload ->> 'status' as status,
    payload ->> 'currency' as currency,
    (payload ->> 'amount')::bigint as amount,
    (payload ->> 'amount_received')::bigint as amount_received,
    created_at,
    deleted_at,
    payload
from billing.objects where object = 'payment_intent';

create view billing.invoices with (security_invoker = true) as
select
    account_id,
    livemode,
    id,
    payload ->> 'customer' as customer,
    payload ->> 'status' as status,
    payload ->> 'currency' as currency,
    (payload ->> 'total')::bigint as total,
    (payload ->> 'amount_due')::bigint as amount_due,
    (payload ->> 'amount_paid')::bigint as amount_paid,
    created_at,
    deleted_at,
    payload
from billing.objects where object = 'invoice';

create view billing.subscriptions with (security_invoker = true) as
select
    account_id,
    livemode,
    id,
    payload ->> 'customer' as customer,
    payload ->> 'status' as status,
    payload ->> 'currency' as currency,
    to_timestamp((payload ->> 'start_date')::bigint) as started_at,
    to_timestamp((payload ->> 'canceled_at')::bigint) as canceled_at,
    to_timestamp((payload ->> 'ended_at')::bigint) as ended_at,
    created_at,
    deleted_at,
    payload
from billing.objects where object = 'subscription';

create view billing.customers with (security_invoker = true) as
select
    account_id,
    livemode,
    id,
    payload ->> 'email' as email,
    payload ->> 'name' as name,
    payload ->> 'currency' as currency,
    created_at,
    deleted_at,
    payload
from billing.objects where object = 'customer';

create view billing.refunds with (security_invoker = true) as
select
    account_id,
    livemode,
    id,
    payload ->> 'charge' as charge,
    payload ->> 'payment_intent' as payment_intent,
    payload ->> 'status' as status,
    payload ->> 'currency' as currency,
    (payload ->> 'amount')::bigint as amount,
    created_at,
    deleted_at,
    payload
from billing.objects where object = 'refund';

create view billing.disputes with (security_invoker = true) as
select
    account_id,
    livemode,
    id,
    payload ->> 'charge' as charge,
    payload ->> 'status' as status,
    payload ->> 'currency' as currency,
    (payload ->> 'amount')::bigint as amount,
    created_at,
    deleted_at,
    payload
from billing.objects where object = 'dispute';

-- Row security: only the role that owns the tables, until a policy lets another in.
alter table billing.inbox enable row level security;
alter table billing.inbox force row level security;
create policy inbox_owner on billing.inbox to current_user using (true) with check (true);
alter table billing.objects enable row level security;
alter table billing.objects force row level security;
create policy objects_owner on billing.objects to current_user using (true) with check (true);
alter table billing.payments enable row level security;
alter table billing.payments force row level security;
create policy payments_owner on billing.payments to current_user using (true) with check (true);
