-- Billing: how far Stripe's events list was read, what it no longer holds, what differed from it.
-- Why: a receiver that was off is found and repaired by reading, never by hoping for a redelivery.

-- Grain: one account and mode with how far its events list was read.
create table billing.sweeps (
    account_id text not null,
    livemode boolean not null,
    swept_to timestamptz,
    unread_to timestamptz,
    reading_to timestamptz,
    finished_at timestamptz,
    told_since timestamptz,
    primary key (account_id, livemode),
    check ((unread_to is null) = (reading_to is null)),
    check (unread_to <= reading_to)
);
comment on table billing.sweeps is 'Grain: one account and mode. How far its events list was read; the sweep goes on from here.';
comment on column billing.sweeps.swept_to is 'Every event that Stripe listed with `created` before this instant is in the inbox.';
comment on column billing.sweeps.unread_to is 'A sweep under way reads newest first: events in [unread_to, reading_to) are in the inbox already.';
comment on column billing.sweeps.reading_to is 'Where swept_to will be when the sweep under way has ended; null when none is.';
comment on column billing.sweeps.finished_at is 'When a sweep last read everything, by our clock.';
comment on column billing.sweeps.told_since is 'Creation of the oldest event in the inbox: what was made before it, nobody told us of.';

-- Grain: one span of time whose events Stripe no longer listed when we came for them.
create table billing.outages (
    account_id text not null,
    livemode boolean not null,
    lost_from timestamptz not null,
    lost_to timestamptz not null,
    found_at timestamptz not null,
    repaired_at timestamptz,
    primary key (account_id, livemode, lost_from),
    check (lost_from < lost_to)
);
comment on table billing.outages is 'Grain: one span of time whose events are lost for good; the objects they spoke of are listed again.';
comment on column billing.outages.lost_from is 'Changes in [lost_from, lost_to) may be unknown to inbox and mirror until repaired_at.';
comment on column billing.outages.repaired_at is 'When everything that could have changed meanwhile had been listed again; null while it has not.';

-- Grain: one object that differed from Stripe when one re-list looked at it.
create table billing.drift (
    account_id text not null,
    livemode boolean not null,
    object text not null,
    id text not null,
    found_at timestamptz not null,
    reason text not null check (reason in ('nightly', 'outage')),
    difference text not null check (difference in ('missing', 'changed', 'gone')),
    fields text [] not null,
    repaired_at timestamptz,
    primary key (account_id, livemode, object, id, found_at)
);
comment on table billing.drift is 'Grain: one object that neither webhooks nor sweep had brought up to date, seen by one re-list. Written before the repair.';
comment on column billing.drift.difference is 'missing: unknown to the mirror. changed: other fields. gone: deleted at Stripe, alive in the mirror.';
comment on column billing.drift.fields is 'Names of the fields that differed; empty for missing and gone. Values: the ledger has both states.';
comment on column billing.drift.repaired_at is 'When the mirror said the same as Stripe again; null while it does not.';
create index drift_by_time on billing.drift (found_at);

alter table billing.sweeps enable row level security;
alter table billing.sweeps force row level security;
create policy sweeps_owner on billing.sweeps to current_user using (true) with check (true);
alter table billing.outages enable row level security;
alter table billing.outages force row level security;
create policy outages_owner on billing.outages to current_user using (true) with check (true);
alter table billing.drift enable row level security;
alter table billing.drift force row level security;
create policy drift_owner on billing.drift to current_user using (true) with check (true);
