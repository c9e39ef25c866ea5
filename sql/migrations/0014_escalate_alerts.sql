-- Alerts: what is wrong now and since when, what may not be sent yet, and how often a channel was
-- called, so that problems escalate and limits hold whoever delivers.

alter table alerts.outbox drop constraint outbox_channel_check;
alter table alerts.outbox add constraint outbox_channel_check
    check (channel in ('log', 'slack', 'github', 'heartbeat'));
alter table alerts.outbox drop constraint outbox_kind_check;
alter table alerts.outbox add constraint outbox_kind_check
    check (kind in (
        'failed_check', 'run_failure', 'recovery', 'summary', 'escalation', 'missed_audit', 'heartbeat', 'test'
    ));
alter table alerts.outbox add column level text not null default 'HIGH'
    check (level in ('CRITICAL', 'HIGH', 'MEDIUM', 'LOW'));
alter table alerts.outbox add column due_at timestamptz;
comment on column alerts.outbox.level is 'How bad it is; an escalation is one level above the problem.';
comment on column alerts.outbox.due_at is 'Not before this instant: the channel refused this alert, or its answer was lost. Null: at once.';
create index outbox_unsettled on alerts.outbox (channel, fingerprint) where state in ('sending', 'unknown');

-- Grain: one problem (fingerprint). It stays after it is over, so that a return opens it again.
create table alerts.problems (
    fingerprint text primary key,
    kind text not null check (kind in ('failed_check', 'run_failure', 'missed_audit')),
    level text not null check (level in ('CRITICAL', 'HIGH', 'MEDIUM', 'LOW')),
    title text not null,
    opened_at timestamptz not null,
    changed_at timestamptz not null,
    closed_at timestamptz,
    step integer not null default 0 check (step >= 0)
);
comment on table alerts.problems is 'Grain: one problem that was told: one class of one month, one check, or one kind of run. closed_at is null while it lasts.';
comment on column alerts.problems.opened_at is 'When it was first told, or told again after it was over; escalation counts from here.';
comment on column alerts.problems.step is 'How often it escalated since it was opened.';
create index problems_open on alerts.problems (opened_at) where closed_at is null;

insert into alerts.problems (fingerprint, kind, level, title, opened_at, changed_at, closed_at)
select distinct on (fingerprint)
    fingerprint,
    case kind when 'recovery' then 'failed_check' else kind end,
    'HIGH',
    title,
    created_at,
    created_at,
    case kind when 'recovery' then created_at end
from alerts.outbox
where channel = 'log'
order by fingerprint asc, alert_id desc;

-- Grain: one channel that may not be called before an instant, or that is called right now.
create table alerts.channels (
    channel text primary key,
    blocked_until timestamptz,
    failures integer not null default 0 check (failures >= 0),
    reason text
);
comment on table alerts.channels is 'Grain: one channel. Nothing is sent to it before blocked_until; failures counts refusals since it last took something.';

-- Grain: one delivery to a channel, with the requests it spends of the channel's limit.
create table alerts.calls (
    call_id bigint generated always as identity primary key,
    channel text not null,
    requests integer not null check (requests >= 0),
    began_at timestamptz not null,
    ended_at timestamptz
);
comment on table alerts.calls is 'Grain: one delivery to a channel. One without an end is under way, and nobody else calls the channel meanwhile. Rows older than the limits reach are removed.';
comment on column alerts.calls.requests is 'Requests that count for the channel''s limit: reserved before, what was made after.';
create index calls_of_channel on alerts.calls (channel, began_at);

-- Grain: one thing that must happen regularly, and since when it is watched.
create table alerts.watches (
    name text primary key,
    since timestamptz not null
);
comment on table alerts.watches is 'Grain: one regular event that is missed when it stays away, such as the daily audit.';

alter table alerts.problems enable row level security;
alter table alerts.problems force row level security;
create policy problems_owner on alerts.problems to current_user using (true) with check (true);
alter table alerts.channels enable row level security;
alter table alerts.channels force row level security;
create policy channels_owner on alerts.channels to current_user using (true) with check (true);
alter table alerts.calls enable row level security;
alter table alerts.calls force row level security;
create policy calls_owner on alerts.calls to current_user using (true) with check (true);
alter table alerts.watches enable row level security;
alter table alerts.watches force row level security;
create policy watches_owner on alerts.watches to current_user using (true) with check (true);
