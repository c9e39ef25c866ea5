-- Billing: the second half of the ledger (what Stripe showed when asked), the queue of questions to
-- Stripe, and which payments an event changed.
-- Why: events and fetched states together are all the mirror is made of, so that it can be rebuilt
-- from them at any time, without network, row for row.

-- Grain: one run of one state of one Stripe object, as Stripe showed it when asked: from the first
-- time to the last. Seen again, only the end moves on, unless another state of it lay between.
create table billing.fetched_states (
    account_id text not null,
    livemode boolean not null,
    object text not null,
    id text not null,
    fingerprint bytea not null,
    first_from timestamptz not null,
    first_at timestamptz not null,
    state_from timestamptz not null,
    state_at timestamptz not null,
    body bytea,
    api_version text not null,
    gone boolean not null,
    source text not null check (source in ('backfill', 'sweep', 'refetch', 'relist')),
    refused text,
    stored_at timestamptz not null,
    primary key (account_id, livemode, object, id, fingerprint, first_at),
    check (first_from <= first_at and state_from <= state_at and first_at <= state_at),
    check (gone or body is not null)
);
comment on table billing.fetched_states is 'Grain: one run of one state of one Stripe object, as Stripe showed it when asked. With billing.inbox all that the mirror is made of.';
comment on column billing.fetched_states.fingerprint is 'Hash of body and API version; of the instant for an object that is gone.';
comment on column billing.fetched_states.first_at is 'Stripe showed this state between first_from and first_at, the first time; UTC.';
comment on column billing.fetched_states.state_at is 'Stripe showed this state between state_from and state_at, the last time; UTC.';
comment on column billing.fetched_states.body is 'The object as JSON text; null where Stripe knows no object of this id.';
comment on column billing.fetched_states.gone is 'Stripe says that it deleted the object, or that it knows none of this id.';
comment on column billing.fetched_states.source is 'Who asked the first time.';
comment on column billing.fetched_states.refused is 'Why the mirror could not use it; null for a state that is part of the mirror.';
create index fetched_states_gone on billing.fetched_states (account_id, livemode, object, id) where gone;
create index fetched_states_refused on billing.fetched_states (stored_at) where refused is not null;

-- Grain: one object that Stripe must be asked about. Several reasons within moments are one question.
create table billing.refetches (
    account_id text not null,
    livemode boolean not null,
    object text not null,
    id text not null,
    reason text not null check (reason in ('undecided', 'incomplete', 'thin_event')),
    queued_at timestamptz not null,
    due_at timestamptz not null,
    attempts integer not null default 0,
    claimed_until timestamptz,
    claim uuid,
    last_error text,
    primary key (account_id, livemode, object, id)
);
comment on table billing.refetches is 'Grain: one object that Stripe must be asked about, and why.';
comment on column billing.refetches.due_at is 'Not before: an answer that is too early would be of the same instant as the doubt.';
comment on column billing.refetches.claim is 'Fencing token of whoever asks now; a claim older than claimed_until is void.';
create index refetches_due on billing.refetches (account_id, livemode, due_at);

-- Grain: one booked payment that applying one event inserted or changed.
create table billing.event_payments (
    account_id text not null,
    livemode boolean not null,
    event_id text not null,
    charge_id text not null,
    effect text not null check (effect in ('inserted', 'updated')),
    applied_at timestamptz not null,
    primary key (account_id, livemode, event_id, charge_id)
);
comment on table billing.event_payments is 'Grain: one booked payment that one event inserted or changed when it was applied last.';

alter table billing.inbox add column effect text;
comment on column billing.inbox.effect is 'What the event did to its object''s row when it was applied: inserted, updated, deleted, superseded by a newer state, repeated what was known, or fetching from Stripe.';

alter table billing.fetched_states enable row level security;
alter table billing.fetched_states force row level security;
create policy fetched_states_owner on billing.fetched_states to current_user using (true) with check (true);
alter table billing.refetches enable row level security;
alter table billing.refetches force row level security;
create policy refetches_owner on billing.refetches to current_user using (true) with check (true);
alter table billing.event_payments enable row level security;
alter table billing.event_payments force row level security;
create policy event_payments_owner on billing.event_payments to current_user using (true) with check (true);
