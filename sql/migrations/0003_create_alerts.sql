-- Alerts: an intent row before every call outside; an unknown outcome is never repeated blindly.
create schema alerts;

-- Grain: one alert to one channel. The key makes a second run of the same decision harmless.
create table alerts.outbox (
    alert_id bigint generated always as identity primary key,
    alert_key text not null,
    channel text not null check (channel in ('log', 'slack', 'github')),
    kind text not null check (kind in ('failed_check', 'run_failure', 'recovery')),
    fingerprint text not null,
    title text not null,
    body text not null,
    state text not null default 'pending' check (state in ('pending', 'sending', 'sent', 'unknown')),
    attempts integer not null default 0,
    last_error text,
    external_id text,
    created_at timestamptz not null,
    claimed_at timestamptz,
    sent_at timestamptz,
    unique (alert_key, channel)
);
comment on table alerts.outbox is 'Grain: one alert to one channel; written before the call is made.';
comment on column alerts.outbox.claimed_at is 'When a deliverer last took it. A claim that is too old ends as unknown.';
comment on column alerts.outbox.external_id is 'What the channel calls it: the number of the GitHub issue.';
create index outbox_waiting on alerts.outbox (created_at) where state = 'pending';
create index outbox_by_fingerprint on alerts.outbox (fingerprint, alert_id);

alter table alerts.outbox enable row level security;
alter table alerts.outbox force row level security;
create policy outbox_owner on alerts.outbox to current_user using (true) with check (true);
