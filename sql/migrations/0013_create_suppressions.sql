-- Audit: findings that somebody decided not to count, and who looks after a finding.
-- Why an end is required: what nobody looks at again for a year is forgotten, not accepted.
-- Contract: docs/metrics.md, "Suppressions and owners".

-- Grain: one decision not to count some findings: one by its fingerprint, or a whole class.
create table audit.suppressions (
    suppression_id uuid primary key,
    account_id text not null,
    livemode boolean not null,
    fingerprint text,
    code text,
    month date check (month = date_trunc('month', month)),
    reason text not null check (reason <> ''),
    suppressed_by text not null check (suppressed_by <> ''),
    suppressed_at timestamptz not null,
    until date not null,
    lifted_at timestamptz,
    lifted_by text,
    severity text check (severity in ('HIGH', 'MEDIUM', 'LOW')),
    codes text [],
    impacts_minor jsonb,
    check ((fingerprint is null) <> (code is null)),
    check (month is null or code is not null),
    check ((fingerprint is null) = (severity is null)),
    check ((severity is null) = (codes is null)),
    check (impacts_minor is null or severity is not null),
    check ((lifted_at is null) = (lifted_by is null)),
    check (until > (suppressed_at at time zone 'UTC')::date),
    check (until <= (suppressed_at at time zone 'UTC')::date + 366)
);
comment on table audit.suppressions is 'Grain: one decision not to count some findings for verdict, checks and alerts. They are still printed. Rows are kept; a lifted one says by whom.';
comment on column audit.suppressions.fingerprint is 'The one finding; null for a whole class.';
comment on column audit.suppressions.code is 'The class; null for one finding.';
comment on column audit.suppressions.month is 'First day of the one month whose findings of the class are meant; null for every month.';
comment on column audit.suppressions.until is 'Day (UTC) from which the findings count again; at most a year after the decision.';
comment on column audit.suppressions.lifted_at is 'When somebody ended it before its time; null while nobody did.';
comment on column audit.suppressions.severity is 'Severity of the one finding when it was decided: it counts again once it is worse. Null for a class.';
comment on column audit.suppressions.codes is 'Classes of the one finding when it was decided, also included: it counts again once another joins. Null for a class.';
comment on column audit.suppressions.impacts_minor is 'Impact of the one finding when it was decided, minor units by currency: it counts again once the absolute impact is larger. Null is unknown, or a class.';
create index suppressions_in_force on audit.suppressions (account_id, livemode, until) where lifted_at is null;

alter table audit.findings add column owner text;
alter table audit.findings add column suppression jsonb;
comment on column audit.findings.owner is 'Who looks after it; kept while it is closed. Null for nobody.';
comment on column audit.findings.suppression is 'Why it did not count in the audit that saw it last: reason, by, until; null for one that counted.';

-- Why: an audit asks whether the endpoint was reached after an instant; the table grows by arrival,
-- so that this index is tiny and costs the receiver nothing.
create index inbox_by_arrival on billing.inbox using brin (received_at);

alter table audit.suppressions enable row level security;
alter table audit.suppressions force row level security;
create policy suppressions_owner on audit.suppressions to current_user using (true) with check (true);
