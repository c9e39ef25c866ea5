-- Events: what applications tell through the ingest, each message once for ever; who may tell; what
-- was refused. Contract: docs/events.md.
create schema events;

-- Grain: one source, an application or site that tells events. Message ids are unique within it.
create table events.sources (
    source_id integer generated always as identity primary key,
    name text not null unique check (name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    created_at timestamptz not null default now()
);
comment on table events.sources is 'Grain: one application that tells events. A new write key of it changes nothing about its messages.';

-- Grain: one write key. The key itself is shown once, when it is made.
create table events.write_keys (
    key_id integer generated always as identity primary key,
    source_id integer not null references events.sources,
    key_hash bytea not null unique check (length(key_hash) = 32),
    shown text not null,
    origins text [] not null default '{}',
    created_at timestamptz not null default now(),
    revoked_at timestamptz
);
comment on table events.write_keys is 'Grain: one write key of a source. Revoked ones stay, so that counts keep their name.';
comment on column events.write_keys.key_hash is 'SHA-256 of the key; the key has 192 random bits, so that the hash tells nothing.';
comment on column events.write_keys.shown is 'First characters of the key, to tell keys apart.';
comment on column events.write_keys.origins is 'Origins whose pages may use it (https://app.example); empty: servers only; {*}: any.';

-- Grain: one message of a source. Rows are only ever added. The key is the only unique constraint
-- and has no instant in it, so that a copy may be partitioned by hash of it without another rule.
create table events.events (
    source_id integer not null,
    message_id text not null,
    key_id integer not null default 0,
    type text not null check (type in ('track', 'identify', 'page', 'screen', 'group', 'alias')),
    event text,
    user_id text,
    anonymous_id text,
    occurred_at timestamptz not null,
    received_at timestamptz not null,
    sent_at timestamptz,
    flags text [] not null default '{}',
    properties jsonb,
    body bytea not null,
    primary key (source_id, message_id),
    check ((type = 'track') = (event is not null))
);
comment on table events.events is 'Grain: one message of a source, stored once for ever; repeats change nothing.';
comment on column events.events.source_id is 'Id in events.sources; without a foreign key, which would cost a look-up a row.';
comment on column events.events.message_id is 'messageId of the call; made of its content where the call has none (flag no_message_id).';
comment on column events.events.key_id is 'Id in events.write_keys of the key that brought it first; 0 for none.';
comment on column events.events.event is 'Name of a track call; null for other calls.';
comment on column events.events.occurred_at is 'When it happened by our clock: the time told, moved by how wrong the clock of the sender was when it sent.';
comment on column events.events.received_at is 'When the request arrived, by our clock; of a dead letter when a replay took it.';
comment on column events.events.sent_at is 'When it was sent, by the clock of the sender; null where it does not say.';
comment on column events.events.flags is 'What is odd about it and did not keep it out; words of docs/events.md.';
comment on column events.events.properties is 'Properties, or traits of identify and group calls; U+0000 replaced by U+FFFD. Null for none.';
comment on column events.events.body is 'The whole call as JSON (UTF-8), nothing replaced; less its writeKey.';
create index events_by_arrival on events.events using brin (received_at);
create index events_by_time on events.events using brin (occurred_at);

-- Grain: one call that was rejected, by source and content.
create table events.dead_letters (
    source_id integer not null,
    body_hash bytea not null,
    dead_letter_id bigint generated always as identity unique,
    key_id integer not null default 0,
    reason text not null,
    is_typed boolean not null,
    received_at timestamptz not null,
    sent_at text,
    body bytea not null,
    replayed_at timestamptz,
    primary key (source_id, body_hash)
);
comment on table events.dead_letters is 'Grain: one rejected call. The same content of the same source is kept once, as it first came.';
comment on column events.dead_letters.key_id is 'Id in events.write_keys of the key that brought it first; 0 for none.';
comment on column events.dead_letters.reason is 'Code and sentence; never quotes a value.';
comment on column events.dead_letters.is_typed is 'Whether it came to the route that holds events against the catalogue.';
comment on column events.dead_letters.sent_at is 'sentAt of the request, as it came; null for none.';
comment on column events.dead_letters.replayed_at is 'When a replay took it into events.events; null while it waits.';
create index dead_letters_waiting on events.dead_letters (dead_letter_id) where replayed_at is null;

-- Grain: one day (UTC), write key and outcome.
create table events.key_counts (
    day date not null,
    key_id integer not null,
    outcome text not null,
    count bigint not null check (count > 0),
    primary key (day, key_id, outcome)
);
comment on table events.key_counts is 'Grain: one day (UTC), write key and outcome. For watching: a killed process loses its last seconds of counts, never an event.';
comment on column events.key_counts.key_id is 'Id in events.write_keys; 0 where no known key was shown.';
comment on column events.key_counts.outcome is 'Events: stored, repeated, rejected. Requests: unauthorized, origin, too_large, throttled, unavailable, malformed, slow, cut.';

alter table events.sources enable row level security;
alter table events.sources force row level security;
create policy sources_owner on events.sources to current_user using (true) with check (true);
alter table events.write_keys enable row level security;
alter table events.write_keys force row level security;
create policy write_keys_owner on events.write_keys to current_user using (true) with check (true);
alter table events.events enable row level security;
alter table events.events force row level security;
create policy events_owner on events.events to current_user using (true) with check (true);
alter table events.dead_letters enable row level security;
alter table events.dead_letters force row level security;
create policy dead_letters_owner on events.dead_letters to current_user using (true) with check (true);
alter table events.key_counts enable row level security;
alter table events.key_counts force row level security;
create policy key_counts_owner on events.key_counts to current_user using (true) with check (true);
