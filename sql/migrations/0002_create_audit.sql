-- Audit: one row per audit, one row per problem. Contract: docs/metrics.md, "Revenue audit".
create schema audit;

-- Grain: one audit of one month, account and mode. All are kept; the newest by finished_at counts.
create table audit.audits (
    audit_id uuid primary key,
    account_id text not null,
    livemode boolean not null,
    month date not null check (month = date_trunc('month', month)),
    definition text not null,
    state text not null check (state in ('closed', 'open', 'not_begun')),
    as_of timestamptz not null,
    started_at timestamptz not null,
    finished_at timestamptz not null,
    verdict text not null check (verdict in ('PASS', 'WARNING', 'FAIL')),
    counts jsonb not null,
    totals jsonb not null,
    sources jsonb not null,
    artifacts jsonb not null default '{}',
    run_id text
);
comment on table audit.audits is 'Grain: one audit of one month. counts: code -> findings; totals: control totals and bridge per currency; sources: certificates.';
create index audits_newest on audit.audits (account_id, livemode, month, finished_at desc);

-- Grain: one problem (fingerprint) of one month. It closes itself when an audit no longer sees it.
create table audit.findings (
    account_id text not null,
    livemode boolean not null,
    month date not null,
    fingerprint text not null,
    audit_id uuid not null references audit.audits,
    code text not null,
    severity text not null check (severity in ('HIGH', 'MEDIUM', 'LOW')),
    object text not null,
    object_id text not null,
    currency text,
    impact_minor bigint,
    also text[] not null default '{}',
    cause text not null,
    action text not null,
    command text not null,
    evidence jsonb not null,
    first_seen_at timestamptz not null,
    last_seen_at timestamptz not null,
    closed_at timestamptz,
    primary key (account_id, livemode, month, fingerprint)
);
comment on table audit.findings is 'Grain: one discrepancy. impact_minor = booked - Stripe in minor units of currency; null is unknown, not 0.';
create index findings_open on audit.findings (account_id, livemode, month, severity) where closed_at is null;

alter table audit.audits enable row level security;
alter table audit.audits force row level security;
create policy audits_owner on audit.audits to current_user using (true) with check (true);
alter table audit.findings enable row level security;
alter table audit.findings force row level security;
create policy findings_owner on audit.findings to current_user using (true) with check (true);
