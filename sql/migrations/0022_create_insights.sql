-- Insights: the digests that weekly reports were made of, what the model was asked and answered,
-- what was refused, and predictions with their grades. Contract: docs/insights.md.
create schema insights;

-- Grain: one digest: the facts of N complete weeks, as they were known.
create table insights.digests (
    digest_sha256 text primary key check (digest_sha256 ~ '^[0-9a-f]{64}$'),
    week_start date not null,
    week_end date not null check (week_end = week_start + 7),
    weeks integer not null check (weeks between 1 and 104),
    made_at timestamptz not null,
    document jsonb not null
);
comment on table insights.digests is 'Grain: one digest. The key is the hash of all that it says, so that the same facts are one row.';
comment on column insights.digests.week_end is 'Exclusive: the first day after the last week.';
comment on column insights.digests.document is 'Facts, statuses, restatements, notes and options.';
create index digests_by_week on insights.digests (week_end, made_at);

-- Grain: one weekly growth report that was written.
create table insights.reports (
    report_id text primary key,
    digest_sha256 text not null references insights.digests,
    week_start date not null,
    weeks integer not null,
    made_at timestamptz not null,
    written_by text not null check (written_by in ('rules', 'rules and model')),
    why_no_model text not null default '',
    highlights text not null,
    claims jsonb not null,
    refused jsonb not null,
    artifacts jsonb not null,
    to_tell boolean not null,
    run_id text,
    told_at timestamptz
);
comment on table insights.reports is 'Grain: one weekly growth report. claims: what it says beside its tables; refused: what the verifier kept out, and why.';
comment on column insights.reports.why_no_model is 'Empty where the model wrote too; else why it did not.';
comment on column insights.reports.highlights is 'The few lines that an issue and a message carry, plain text.';
comment on column insights.reports.artifacts is 'Format -> path in the lake; emptied when the files are cleaned.';
comment on column insights.reports.to_tell is 'Whether it is for others than who asked for it: issue and message.';
comment on column insights.reports.told_at is 'When it was put into the outbox of alerts; null: not yet.';
create index reports_by_week on insights.reports (week_start, made_at);

-- Grain: one request to the model, kept for replay.
create table insights.model_calls (
    call_id bigint generated always as identity primary key,
    cache_key text not null,
    attempt integer not null check (attempt between 1 and 3),
    model text not null,
    asked_at timestamptz not null,
    seconds numeric not null check (seconds >= 0),
    outcome text not null,
    request jsonb not null,
    response jsonb,
    input_tokens bigint,
    output_tokens bigint,
    cost_usd numeric
);
comment on table insights.model_calls is 'Grain: one request to the model. request and response whole, so that the report can be written again without asking.';
comment on column insights.model_calls.cache_key is 'Hash of the digest as it was sent, the prompt, the schema and the model: the same question is not asked twice.';
comment on column insights.model_calls.outcome is 'answered, or the kind of failure.';
comment on column insights.model_calls.cost_usd is 'Tokens times the prices of the settings; null where usage is unknown.';
create index model_calls_by_key on insights.model_calls (cache_key, call_id);

-- Grain: one prediction of one report about one fact in the week after.
create table insights.predictions (
    report_id text not null references insights.reports,
    week_start date not null,
    fact_id text not null,
    direction text not null check (direction in ('up', 'down', 'flat')),
    written_by text not null check (written_by in ('rule', 'model')),
    value_then numeric,
    graded_at timestamptz,
    value_now numeric,
    came text check (came in ('up', 'down', 'flat', 'too_few', 'unknown')),
    grade text check (grade in ('held', 'did not hold', 'cannot be told')),
    primary key (report_id, fact_id, written_by)
);
comment on table insights.predictions is 'Grain: one prediction. week_start: the week that it is about, whose report grades it.';
comment on column insights.predictions.came is 'What came, with the same noise bounds as everything else; null while the week is not over.';
create index predictions_by_week on insights.predictions (week_start);

alter table insights.digests enable row level security;
alter table insights.digests force row level security;
create policy digests_owner on insights.digests to current_user using (true) with check (true);
alter table insights.reports enable row level security;
alter table insights.reports force row level security;
create policy reports_owner on insights.reports to current_user using (true) with check (true);
alter table insights.model_calls enable row level security;
alter table insights.model_calls force row level security;
create policy model_calls_owner on insights.model_calls to current_user using (true) with check (true);
alter table insights.predictions enable row level security;
alter table insights.predictions force row level security;
create policy predictions_owner on insights.predictions to current_user using (true) with check (true);

-- Alerts: a finished weekly report is told once, as an issue and as a message with its picture.
alter table alerts.outbox drop constraint outbox_kind_check;
alter table alerts.outbox add constraint outbox_kind_check
check (kind in (
    'failed_check', 'run_failure', 'recovery', 'summary', 'escalation', 'missed_audit', 'heartbeat', 'test', 'report'
));
alter table alerts.outbox drop constraint outbox_channel_check;
alter table alerts.outbox add constraint outbox_channel_check
check (channel in ('log', 'slack', 'github', 'heartbeat', 'slack_files'));
alter table alerts.outbox add column picture bytea;
comment on column alerts.outbox.picture is 'PNG that a channel which can show pictures sends along; null for none, and once it arrived.';
