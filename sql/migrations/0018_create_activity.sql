-- Activity: who the users are and where their activity comes from. Contract: docs/metrics.md, "Activity".
-- The rows of users and events stay where they are; views in this schema read them.
create schema activity;

-- Grain: one user ever seen, deleted ones too: the number stands for the user in the lake.
create table activity.user_numbers (
    user_number integer generated always as identity primary key,
    user_key bytea not null unique,
    user_id text,
    signed_up_at timestamptz,
    numbered_at timestamptz not null default now(),
    deleted_at timestamptz,
    check ((user_id is null) = (deleted_at is not null))
);
comment on table activity.user_numbers is 'Grain: one user ever seen. The number never changes and is never given again.';
comment on column activity.user_numbers.user_number is 'Given in order of sign-up among the users numbered at once; gaps mean nothing.';
comment on column activity.user_numbers.user_key is 'SHA-256 of the id as text (UTF-8): what activity is matched by.';
comment on column activity.user_numbers.user_id is 'The id as text; null once the user was deleted.';
comment on column activity.user_numbers.signed_up_at is 'When the user signed up; null when unknown.';
comment on column activity.user_numbers.deleted_at is 'When the user was first missed at the source; the history stays.';

-- Grain: one anonymous id that turned out to be a user.
create table activity.merged_ids (
    merged_key bytea primary key,
    user_key bytea not null check (user_key <> merged_key),
    merged_at timestamptz not null default now()
);
comment on table activity.merged_ids is 'Grain: one anonymous id that is counted as a user. Both as SHA-256 of the id as text; the user is never a merged id itself.';
create index merged_ids_by_user on activity.merged_ids (user_key);

-- Grain: one user who does not count: internal, or a test.
create table activity.excluded_users (
    user_key bytea primary key,
    reason text not null,
    excluded_at timestamptz not null default now()
);
comment on table activity.excluded_users is 'Grain: one internal or test user, as SHA-256 of the id as text; left out of every number.';

-- Grain: one user id that events told of; read from new events only, so that nobody reads all of them.
create table activity.told_users (
    user_key bytea primary key,
    user_id text not null,
    signed_up_at timestamptz,
    created_at timestamptz,
    email text
);
comment on table activity.told_users is 'Grain: one userId that events of the ingest told of, by SHA-256 of the id as text.';
comment on column activity.told_users.signed_up_at is 'First sign-up event (User Signed Up, Signed Up); null while none was told.';
comment on column activity.told_users.created_at is 'Earliest trait createdAt of identify calls; null while none was readable.';
comment on column activity.told_users.email is 'Trait email of the identify call read last; null while none had one.';

-- Grain: one property of a user id that events told of; only those that cohorts are split by.
create table activity.told_segments (
    user_key bytea not null,
    segment_by text not null,
    segment text not null,
    told_at timestamptz not null,
    primary key (user_key, segment_by)
);
comment on table activity.told_segments is 'Grain: one property (a trait of identify calls) of one userId, by SHA-256 of the id as text.';
comment on column activity.told_segments.segment is 'The first value that was received and can be a segment.';
comment on column activity.told_segments.told_at is 'When it was received.';

-- Grain: one property of one user. It stays when the user changes or is deleted: cohorts of the past do
-- not move, and nobody is counted among those whom staying on has made.
create table activity.user_segments (
    user_number integer not null,
    segment_by text not null,
    segment text not null,
    primary key (user_number, segment_by)
);
comment on table activity.user_segments is 'Grain: one property of one user that cohorts are split by. No row: none was told.';
comment on column activity.user_segments.segment_by is 'Name of the property, as plan or country.';
comment on column activity.user_segments.segment is 'The first value that was known of the user.';

-- Grain: one thing that is read bit by bit.
create table activity.readings (
    what text primary key,
    until timestamptz not null
);
comment on table activity.readings is 'Grain: one thing that is read bit by bit; until: everything received before was read.';

-- createdAt as SDKs send it: ISO 8601 (without an offset UTC), or Unix seconds or milliseconds.
-- Whoever holds a write key chooses this text, so anything else is null and never an error.
create function activity.read_instant(value jsonb) returns timestamptz
language plpgsql immutable strict parallel safe
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
as $$
declare
    text_of text := value #>> '{}';
    found timestamptz;
begin
    if jsonb_typeof(value) = 'number' then
        found := to_timestamp(case when abs(text_of::numeric) < 1e11 then text_of::numeric else text_of::numeric / 1000 end);
    elsif jsonb_typeof(value) = 'string' and text_of ~ '^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?( ?(Z|[+-]\d{2}(:?\d{2})?))?)?$' then
        found := text_of::timestamptz;
    end if;
    return case when found >= '1990-01-01' and found < '2200-01-01' then found end;
exception when others then
    return null;
end
$$;
comment on function activity.read_instant(jsonb) is 'An instant that somebody told, null for what is none or lies before 1990.';

-- Whoever holds a write key chooses this text: what is no short text, number or truth is no segment.
create function activity.read_segment(value jsonb) returns text
language sql immutable parallel safe
return (
    select t.text_of
    from (select btrim(value #>> '{}', E' \t\r\n') as text_of) as t
    where jsonb_typeof(value) in ('string', 'number', 'boolean') and length(t.text_of) between 1 and 100
);
comment on function activity.read_segment(jsonb) is 'A value that users can be split by; null for none, and for what is longer than 100 characters.';

-- A sign-up of the year 1 or 294276 is a default or a mistake of the application: read as unknown, it
-- moves no number, and no calendar has to hold it.
create function activity.can_be_sign_up(instant timestamptz) returns boolean
language sql immutable parallel safe
return instant >= '1900-01-01Z'::timestamptz and instant < '2200-01-01Z'::timestamptz;
comment on function activity.can_be_sign_up(timestamptz) is 'Whether an instant is from 1900 to 2199; otherwise the sign-up counts as unknown.';

-- convert_to is stable only, as conversions can be replaced; UTF-8 to UTF-8 is none, so this may be indexed.
create function activity.user_key(id text) returns bytea
language sql immutable strict parallel safe
return sha256(convert_to(id, 'UTF8'));
comment on function activity.user_key(text) is 'What a user is matched by: SHA-256 of the id as text (UTF-8).';

-- Serves sql/events/reopened_days.sql: days of users who were merged, excluded or numbered since the
-- last rollup. Without it each rollup that finds a new user reads every event there is.
create index events_by_user on events.events (activity.user_key(coalesce(user_id, anonymous_id)));

-- Users and events of the ingest. Calls that only say who somebody is are no activity.
create view activity.own_users with (security_invoker = true) as
select
    t.user_id,
    coalesce(
        t.signed_up_at,
        t.created_at,
        (
            select min(coalesce(o.signed_up_at, o.created_at))
            from activity.merged_ids as m
            inner join activity.told_users as o on o.user_key = m.merged_key
            where m.user_key = t.user_key
        )
    ) as signed_up_at,
    t.email
from activity.told_users as t;
comment on view activity.own_users is 'Grain: one user whom events of the ingest told of. Sign-up: the sign-up event, else the trait createdAt, else null.';

create view activity.own_events with (security_invoker = true) as
select
    coalesce(e.user_id, e.anonymous_id) as user_id,
    e.occurred_at,
    coalesce(e.event, e.type) as event,
    e.received_at
from events.events as e
where
    e.type in ('page', 'screen')
    or (
        e.type = 'track'
        and e.event not in (
            'Member Removed', 'Member Role Changed', 'Payment Failed', 'Payment Refunded',
            'Payment Succeeded', 'Ticket Solved'
        )
    );
comment on view activity.own_events is 'Grain: one track, page or screen call of the ingest that a user did: events that the catalogue says no user does are left out. user_id is the anonymous id where no user is named.';

-- Grain: one file that was imported; the same bytes are imported once.
create table activity.imported_files (
    file_id integer generated always as identity primary key,
    kind text not null check (kind in ('users', 'activity', 'segments')),
    sha256 text not null,
    name text not null,
    imported_at timestamptz not null,
    unique (kind, sha256)
);
comment on table activity.imported_files is 'Grain: one file of users or activity that was imported. The same bytes are imported once.';

-- Grain: one user of one file.
create table activity.imported_users (
    file_id integer not null references activity.imported_files,
    user_id text not null,
    signed_up_at timestamptz
);
comment on table activity.imported_users is 'Grain: one row of a file of users. signed_up_at null: the file does not say.';

-- Grain: one property of one user of one file.
create table activity.imported_segments (
    file_id integer not null references activity.imported_files,
    user_id text not null,
    segment_by text not null,
    segment text not null
);
comment on table activity.imported_segments is 'Grain: one property of one row of a file of users, of the columns that were asked for.';

-- Grain: one event of one file.
create table activity.imported_events (
    file_id integer not null references activity.imported_files,
    user_id text not null,
    occurred_at timestamptz not null,
    event text,
    received_at timestamptz not null
);
comment on table activity.imported_events is 'Grain: one row of a file of activity. received_at: when it was imported.';
create index imported_events_by_arrival on activity.imported_events using brin (received_at);
create index imported_events_by_time on activity.imported_events using brin (occurred_at);
create index imported_events_by_user on activity.imported_events (activity.user_key(user_id));

-- What the pipeline reads: the ingest and imported files, until `growth adopt` points at tables of the company.
create view activity.source_users with (security_invoker = true) as
select
    user_id,
    signed_up_at,
    email
from activity.own_users
union all
select
    user_id,
    signed_up_at,
    null
from activity.imported_users;
comment on view activity.source_users is 'Grain: one user of a source of the company; the earliest sign-up counts. Users of the ingest and of imported files, or what growth adopt wrote.';

create view activity.source_events with (security_invoker = true) as
select
    user_id,
    occurred_at,
    event,
    received_at
from activity.own_events
union all
select
    user_id,
    occurred_at,
    event,
    received_at
from activity.imported_events;
comment on view activity.source_events is 'Grain: one event of a user. received_at null: the source does not say. Events of the ingest and of imported files, or what growth adopt wrote.';

create view activity.source_segments with (security_invoker = true) as
select
    user_key,
    segment_by,
    segment,
    told_at
from activity.told_segments
union all
select
    activity.user_key(i.user_id),
    i.segment_by,
    i.segment,
    f.imported_at
from activity.imported_segments as i
inner join activity.imported_files as f on i.file_id = f.file_id;
comment on view activity.source_segments is 'Grain: one property of a user as one source tells it; the first one counts. Traits of the ingest and imported files, or what growth adopt wrote.';

-- A sign-up must go through whatever happens here: every error ends in this function, and so does
-- waiting for a lock. The nightly numbering finds whom it missed.
create function activity.note_user() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '200ms'
set timezone = 'UTC'
as $$
declare
    id text;
    key bytea;
begin
    id := to_jsonb(new) ->> tg_argv[0];
    key := sha256(convert_to(id, 'UTF8'));
    if key is not null then
        -- Nothing of ours is read first: in a serializable transaction two sign-ups at once would
        -- each have read what the other writes, and one of them would fail at its COMMIT.
        insert into activity.user_numbers (user_key, user_id, signed_up_at)
        select key, id, (to_jsonb(new) ->> tg_argv[1])::timestamptz
        on conflict (user_key) do nothing;
    end if;
    return null;
exception when query_canceled or assert_failure or others then
    return null;
end
$$;
comment on function activity.note_user() is 'Numbers a user who signs up. Arguments: columns of the id and of the time of sign-up. Never fails.';
revoke all on function activity.note_user() from public;

alter table activity.user_numbers enable row level security;
alter table activity.user_numbers force row level security;
create policy user_numbers_owner on activity.user_numbers to current_user using (true) with check (true);
alter table activity.merged_ids enable row level security;
alter table activity.merged_ids force row level security;
create policy merged_ids_owner on activity.merged_ids to current_user using (true) with check (true);
alter table activity.excluded_users enable row level security;
alter table activity.excluded_users force row level security;
create policy excluded_users_owner on activity.excluded_users to current_user using (true) with check (true);
alter table activity.told_users enable row level security;
alter table activity.told_users force row level security;
create policy told_users_owner on activity.told_users to current_user using (true) with check (true);
alter table activity.readings enable row level security;
alter table activity.readings force row level security;
create policy readings_owner on activity.readings to current_user using (true) with check (true);
revoke all on function activity.user_key(text) from public;
revoke all on function activity.read_instant(jsonb) from public;
revoke all on function activity.can_be_sign_up(timestamptz) from public;
alter table activity.imported_files enable row level security;
alter table activity.imported_files force row level security;
create policy imported_files_owner on activity.imported_files to current_user using (true) with check (true);
alter table activity.imported_users enable row level security;
alter table activity.imported_users force row level security;
create policy imported_users_owner on activity.imported_users to current_user using (true) with check (true);
alter table activity.told_segments enable row level security;
alter table activity.told_segments force row level security;
create policy told_segments_owner on activity.told_segments to current_user using (true) with check (true);
alter table activity.user_segments enable row level security;
alter table activity.user_segments force row level security;
create policy user_segments_owner on activity.user_segments to current_user using (true) with check (true);
alter table activity.imported_segments enable row level security;
alter table activity.imported_segments force row level security;
create policy imported_segments_owner on activity.imported_segments to current_user using (true) with check (true);
revoke all on function activity.read_segment(jsonb) from public;
alter table activity.imported_events enable row level security;
alter table activity.imported_events force row level security;
create policy imported_events_owner on activity.imported_events to current_user using (true) with check (true);
