-- Audit: the parts of an audit beside the payments, the zone its month is of, what changed since the
-- audit before, and closed months that stay as they were. Contract: docs/metrics.md, "Timing".
alter table audit.audits add column sections jsonb not null default '[]';
comment on column audit.audits.sections is 'One entry per part beside the payments: objects judged, both sides, what was not judged.';

alter table audit.audits add column tz text not null default 'UTC';
alter table audit.audits add column changes jsonb;
alter table audit.audits add column boundaries jsonb;
alter table audit.audits add column close jsonb;
comment on column audit.audits.tz is 'Zone (IANA) whose month this is; UTC unless somebody asked for another.';
comment on column audit.audits.changes is 'What is new since the audit before: findings and payments counted; null for a first version''s audit.';
comment on column audit.audits.close is 'What the audit said of the month''s close: when, frozen totals, totals now, whether they add up; null while open.';
comment on column audit.audits.boundaries is 'First and last instant of the month in its zone and in UTC, and the money that lies between.';
drop index audit.audits_newest;
create index audits_newest on audit.audits (account_id, livemode, month, tz, finished_at desc);

alter table audit.findings add column tz text not null default 'UTC';
alter table audit.findings add column content text not null default '';
comment on column audit.findings.tz is 'Zone (IANA) whose month this is.';
comment on column audit.findings.content is 'Hash of what the finding says: an audit that sees it unchanged does not write it again.';
alter table audit.findings drop constraint findings_pkey;
alter table audit.findings add primary key (account_id, livemode, month, tz, fingerprint);
drop index audit.findings_open;
create index findings_open on audit.findings (account_id, livemode, month, tz, severity) where closed_at is null;

-- Grain: one closed month of one account, mode and zone. Written once, never changed.
create table audit.closes (
    account_id text not null,
    livemode boolean not null,
    month date not null check (month = date_trunc('month', month)),
    tz text not null,
    audit_id uuid not null references audit.audits,
    definition text not null,
    closed_at timestamptz not null,
    as_of timestamptz not null,
    totals jsonb not null,
    file_sha256 text not null,
    file_rows bigint not null,
    file_bytes bigint not null,
    primary key (account_id, livemode, month, tz)
);
comment on table audit.closes is 'Grain: one closed month. The first complete audit after the month froze it; what changes later is in audit.restatements.';
comment on column audit.closes.as_of is 'Instant up to which the frozen figures know Stripe; UTC, exclusive.';
comment on column audit.closes.totals is 'side (stripe, books) -> currency -> count and gross, refunded, disputed, net in minor units of settled payments.';
comment on column audit.closes.file_sha256 is 'Name and hash of the Parquet file in the lake (dataset audit/closes) with one line per payment and side.';

-- Grain: one change of one payment in one currency on one side, as one audit saw it after the close.
create table audit.restatements (
    account_id text not null,
    livemode boolean not null,
    month date not null,
    tz text not null,
    side text not null check (side in ('stripe', 'books')),
    object text not null,
    object_id text not null,
    currency text not null,
    audit_id uuid not null references audit.audits,
    before jsonb not null,
    after jsonb not null,
    before_minor bigint not null,
    after_minor bigint not null,
    difference_minor bigint not null check (difference_minor = after_minor - before_minor),
    reason text not null,
    evidence text[] not null default '{}',
    first_seen_at timestamptz not null,
    primary key (account_id, livemode, month, tz, side, object_id, currency, audit_id),
    foreign key (account_id, livemode, month, tz) references audit.closes
);
comment on table audit.restatements is 'Grain: one change since a month was closed. Frozen figures plus all differences are the figures of now, per side and currency.';
comment on column audit.restatements.object is 'charge (Stripe''s side), or payment: a row of billing.payments, object_id its payment_id.';
comment on column audit.restatements.before is 'count and gross, refunded, disputed, net in minor units, and status, as known before; zeros where there was nothing.';
comment on column audit.restatements.before_minor is 'Settled net before, minor units of currency.';
comment on column audit.restatements.after_minor is 'Settled net after, minor units of currency.';
comment on column audit.restatements.evidence is 'Ids of the refunds, disputes and events, and numbers of rows, that it came by.';

alter table audit.closes enable row level security;
alter table audit.closes force row level security;
create policy closes_owner on audit.closes to current_user using (true) with check (true);
alter table audit.restatements enable row level security;
alter table audit.restatements force row level security;
create policy restatements_owner on audit.restatements to current_user using (true) with check (true);
