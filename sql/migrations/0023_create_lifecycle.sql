-- Lifecycle: the stage of every user with the evidence for each change, engagement scores, journeys,
-- and an outbox of e-mails, each sent at most once. Contract: docs/lifecycle.md.
create schema lifecycle;

-- Grain: one thing that is read bit by bit, and the definitions that everything was decided with.
create table lifecycle.readings (
    what text primary key,
    until timestamptz,
    told text
);
comment on table lifecycle.readings is 'Grain: one thing that is read bit by bit; until: everything received before was read. told: a hash, where what matters is whether it changed.';

-- Grain: one note that a user's facts may be others than before. Rows go when the user was looked at.
create table lifecycle.news (
    news_id bigint generated always as identity primary key,
    user_number integer not null,
    from_on date,
    rereads boolean not null default false,
    rebills boolean not null default false,
    noted_at timestamptz not null default clock_timestamp()
);
comment on table lifecycle.news is 'Grain: one note that a user is to be looked at again; what a run works through.';
comment on column lifecycle.news.from_on is 'First local day that may differ; null: any.';
comment on column lifecycle.news.rereads is 'Whether the user''s activity must be read again from the source: merged, excluded, numbered late.';
comment on column lifecycle.news.rebills is 'Whether what is known of the user''s customer must be read again: another customer, or another user.';
create index news_by_user on lifecycle.news (user_number);

-- New users are looked up one by one, where the nightly numbering reads all of them.
create index told_users_by_id on activity.told_users (user_id);
create index imported_users_by_id on activity.imported_users (user_id);

-- What became known lately, of disputes and the charges that are disputed.
create index inbox_by_application on billing.inbox using brin (applied_at) with (autosummarize = on);
create index fetched_by_storing on billing.fetched_states using brin (stored_at) with (autosummarize = on);
-- An hourly run asks for the newest events: without it all since the last vacuum are read.
alter index events.events_by_arrival set (autosummarize = on);

-- Grain: one user and local day with activity.
create table lifecycle.user_days (
    user_number integer not null,
    day date not null,
    features text [] not null default '{}',
    milestones text [] not null default '{}',
    primary key (user_number, day)
);
comment on table lifecycle.user_days is 'Grain: one user and local day on which the user did something.';
comment on column lifecycle.user_days.features is 'Key features that were used on it, by the names of their events, sorted.';
comment on column lifecycle.user_days.milestones is 'Activation events that were done on it, sorted.';
create index user_days_by_day on lifecycle.user_days (day);

-- Grain: one user and thing whose last use is known: '' is any activity, else a key feature.
create table lifecycle.last_uses (
    user_number integer not null,
    what text not null,
    last_on date not null,
    primary key (user_number, what)
);
comment on table lifecycle.last_uses is 'Grain: one user and key feature ('''': any activity), with the last local day of it.';

-- Grain: one user, kind of billing fact and span of local days.
create table lifecycle.billing_spans (
    user_number integer not null,
    kind text not null check (kind in ('paying', 'past_due', 'cancel_scheduled', 'disputed', 'paused', 'trialing')),
    from_on date not null,
    until_on date,
    why text not null,
    primary key (user_number, kind, from_on, why),
    check (until_on > from_on)
);
comment on table lifecycle.billing_spans is 'Grain: one billing fact of a user''s customer and one subscription or dispute behind it, true at the end of the local days [from_on, until_on).';
comment on column lifecycle.billing_spans.until_on is 'Null: still so, without a known end.';
comment on column lifecycle.billing_spans.why is 'Stripe''s id of the subscription or dispute behind it.';

-- Grain: one user. Exactly one stage each.
create table lifecycle.users (
    user_number integer primary key,
    stage text not null check (stage in (
        'deleted', 'at_risk', 'won_back', 'paying', 'paused', 'trialing', 'churned', 'dormant',
        'trial_ended', 'activated', 'signed_up'
    )),
    since_on date not null,
    first_on date not null,
    decided_on date not null,
    next_due_on date,
    decided_at timestamptz not null
);
comment on table lifecycle.users is 'Grain: one user with the stage at the end of the last local day that was decided.';
comment on column lifecycle.users.since_on is 'First local day of the stage.';
comment on column lifecycle.users.first_on is 'First local day of which anything is known of the user.';
comment on column lifecycle.users.decided_on is 'Last local day that was looked at when something was new. The stage holds until next_due_on.';
comment on column lifecycle.users.next_due_on is 'First local day on which the stage differs if nothing new is told; null: never.';
create index users_due on lifecycle.users (next_due_on) where next_due_on is not null;

-- Grain: one user whose zone is known.
create table lifecycle.zones (
    user_number integer primary key,
    tz text not null
);
comment on table lifecycle.zones is 'Grain: one user, with the zone (IANA) that their own calls told last: by whose clock hours are quiet.';

-- Grain: one change of stage of one user, as it was decided. What later facts changed is superseded.
create table lifecycle.transitions (
    transition_id bigint generated always as identity primary key,
    user_number integer not null,
    day date not null,
    from_stage text,
    to_stage text not null,
    evidence jsonb not null,
    definition text not null,
    decided_at timestamptz not null,
    superseded_at timestamptz
);
comment on table lifecycle.transitions is 'Grain: one change of stage of one user at the end of a local day; at most one a day that counts. superseded_at: when later facts made it untrue.';
comment on column lifecycle.transitions.from_stage is 'Null: the first stage of the user.';
comment on column lifecycle.transitions.evidence is 'The row of the rules that was true first, and the facts that made it so.';
comment on column lifecycle.transitions.definition is 'Name and version of the rules, as stages@1.';
create unique index transitions_that_count on lifecycle.transitions (user_number, day) where superseded_at is null;
create index transitions_by_day on lifecycle.transitions (day) where superseded_at is null;
create index transitions_by_decision on lifecycle.transitions (decided_at);

-- Grain: one local day and stage.
create table lifecycle.stage_days (
    day date not null,
    stage text not null,
    users bigint not null check (users >= 0),
    definition text not null,
    counted_at timestamptz not null,
    primary key (day, stage)
);
comment on table lifecycle.stage_days is 'Grain: one local day that is over and stage: users in it at the day''s end. All stages of a day add up to its users.';

-- Grain: one local day, stage and band of the engagement score.
create table lifecycle.score_days (
    day date not null,
    stage text not null,
    band text not null check (band in ('none', 'low', 'fading', 'steady', 'high')),
    users bigint not null check (users >= 0),
    score_sum bigint not null check (score_sum >= 0),
    definition text not null,
    counted_at timestamptz not null,
    primary key (day, stage, band)
);
comment on table lifecycle.score_days is 'Grain: one local day that is over, stage and band of the engagement score. score_sum / users is the average.';

-- Grain: one back-test of a score: snapshot day and outcome.
create table lifecycle.backtests (
    definition text not null,
    snapshot_on date not null,
    outcome text not null check (outcome in ('converted', 'churned')),
    horizon_days integer not null check (horizon_days > 0),
    users bigint not null check (users >= 0),
    happened bigint not null check (happened between 0 and users),
    auc numeric check (auc between 0 and 1),
    calibration jsonb not null,
    made_at timestamptz not null,
    primary key (definition, snapshot_on, outcome)
);
comment on table lifecycle.backtests is 'Grain: one back-test: how well the score of a day told who converted or churned in the days after it.';
comment on column lifecycle.backtests.auc is 'Chance that of two users, one to whom it happened and one to whom it did not, the score orders them rightly; null without both kinds.';
comment on column lifecycle.backtests.calibration is 'By band: users, to how many it happened, and that share.';

-- Grain: one user in one journey, once for ever.
create table lifecycle.enrolments (
    enrolment_id bigint generated always as identity primary key,
    user_number integer not null,
    journey text not null,
    version integer not null,
    entered_at timestamptz not null,
    trigger jsonb not null,
    is_holdout boolean not null,
    state text not null default 'active' check (state in ('active', 'finished', 'exited', 'goal')),
    next_step integer not null default 0,
    next_at timestamptz,
    goal_at timestamptz,
    ended_at timestamptz,
    end_reason text not null default '',
    unique (user_number, journey)
);
comment on table lifecycle.enrolments is 'Grain: one user in one journey. A journey is entered once for ever, so that none of its messages can go out twice.';
comment on column lifecycle.enrolments.is_holdout is 'In the share that gets nothing, so that what the journey does can be told.';
comment on column lifecycle.enrolments.next_at is 'When the next step is due; null once it ended.';
comment on column lifecycle.enrolments.goal_at is 'When the goal was seen to be reached within its time, holdout too; null: not. Lift is measured from the facts.';
create index enrolments_due on lifecycle.enrolments (next_at) where state = 'active';

-- Grain: one consent that somebody gave, by the hash of the address.
create table lifecycle.consents (
    consent_id bigint generated always as identity primary key,
    address_hash bytea not null check (length(address_hash) = 32),
    purpose text not null default 'marketing',
    given_at timestamptz not null,
    source text not null,
    wording text not null default '',
    withdrawn_at timestamptz,
    noted_at timestamptz not null default clock_timestamp(),
    unique (address_hash, purpose, given_at)
);
comment on table lifecycle.consents is 'Grain: one consent to be written to. The address is kept as SHA-256 of its trimmed lower-case text (UTF-8).';
comment on column lifecycle.consents.source is 'Where it was given: an event, a file, or kit (an active subscriber).';

-- Grain: one reason not to write to an address. Rows are only ever added; a hold may be lifted.
create table lifecycle.suppressions (
    address_hash bytea not null check (length(address_hash) = 32),
    reason text not null check (reason in ('unsubscribed', 'bounced', 'complained', 'erased', 'manual', 'hold')),
    source text not null,
    since timestamptz not null default clock_timestamp(),
    lifted_at timestamptz,
    lifted_why text,
    kit_id bigint,
    told_kit_at timestamptz,
    primary key (address_hash, reason)
);
comment on table lifecycle.suppressions is 'Grain: one reason not to write to an address (SHA-256 of its trimmed lower-case text). No message goes out once such a row is committed and not lifted.';
comment on column lifecycle.suppressions.source is 'Who said so: kit_webhook, kit, page, api, cli, source (deleted user), restored.';
comment on column lifecycle.suppressions.told_kit_at is 'When Kit was asked to unsubscribe it too; null: not (yet), or Kit said so itself.';

-- Grain: one message to one user, once for ever. The row is there before any call.
create table lifecycle.outbox (
    message_id bigint generated always as identity primary key,
    user_key bytea not null check (length(user_key) = 32),
    user_number integer not null,
    message text not null,
    journey text not null,
    version integer not null,
    step text not null,
    action text not null check (action in ('tag', 'sequence')),
    target text not null,
    priority integer not null,
    basis text not null check (basis in ('consent', 'contract')),
    consent_id bigint,
    address_hash bytea check (length(address_hash) = 32),
    kit_id bigint,
    trigger_at timestamptz not null,
    due_at timestamptz not null,
    late_at timestamptz not null,
    quiet_at timestamptz,
    state text not null default 'pending' check (state in (
        'pending', 'sending', 'sent', 'unknown', 'parked', 'skipped'
    )),
    reason text not null default '',
    attempts integer not null default 0 check (attempts >= 0),
    claimed_at timestamptz,
    called_at timestamptz,
    absent_at timestamptz,
    sent_at timestamptz,
    created_at timestamptz not null default clock_timestamp(),
    unique (user_key, message)
);
comment on table lifecycle.outbox is 'Grain: one message (journey/step) to one user, once for ever. Written before any call; an unknown outcome is read back and never repeated.';
comment on column lifecycle.outbox.user_key is 'SHA-256 of the user''s id; stays when the user is deleted.';
comment on column lifecycle.outbox.address_hash is 'SHA-256 of the address it goes to, known from the first try on: two users of one address get a message once.';
comment on column lifecycle.outbox.late_at is 'After this instant it is not sent any more.';
comment on column lifecycle.outbox.quiet_at is 'When the user''s next quiet time begins: not sent from then on until a look at journeys moved it; null: at any time.';
comment on column lifecycle.outbox.reason is 'Why it was skipped or parked, or the last error.';
comment on column lifecycle.outbox.claimed_at is 'When a sender took it last.';
comment on column lifecycle.outbox.called_at is 'When the call that sends was about to be made; null: no call was made for certain.';
comment on column lifecycle.outbox.absent_at is 'When Kit was first read after an unknown outcome and did not have it.';
create unique index outbox_by_address on lifecycle.outbox (address_hash, message) where address_hash is not null and state <> 'skipped';
create index outbox_waiting on lifecycle.outbox (due_at, priority) where state = 'pending';
create index outbox_unsettled on lifecycle.outbox (claimed_at) where state in ('sending', 'unknown');
create index outbox_by_user on lifecycle.outbox (user_number);

-- Grain: one request to Kit, so that all senders spend from one limit. Old rows are removed.
create table lifecycle.kit_calls (
    call_id bigint generated always as identity primary key,
    called_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz
);
comment on table lifecycle.kit_calls is 'Grain: one request to Kit, by the clock of the database, so that no other clock can loosen the limit.';
create index kit_calls_by_time on lifecycle.kit_calls (called_at);

-- Grain: one thing that senders share, as an instant before which Kit is left alone.
create table lifecycle.kit_blocks (
    what text primary key,
    until timestamptz not null,
    reason text not null
);
comment on table lifecycle.kit_blocks is 'Grain: one reason to leave Kit alone until an instant, after a refusal for too many requests.';

-- One rule for what an address is known by, here and in Python: bytes, so that no locale matters.
create function lifecycle.address_hash(address text) returns bytea
language sql immutable parallel safe
return sha256(convert_to(lower(btrim(address, E' \t\r\n') collate "C"), 'UTF8'));
comment on function lifecycle.address_hash(text) is 'What an e-mail address is known by: SHA-256 of its trimmed text with ASCII letters in lower case (UTF-8).';

-- Whoever sends to an address holds this lock shared while the call is under way; who suppresses it
-- waits for that call and then holds it alone, so that no call begins before the row is committed.
create function lifecycle.lock_address(hash bytea, shared boolean) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    number bigint := ('x' || encode(substring(sha256('lifecycle:'::bytea || hash) from 1 for 8), 'hex'))::bit(64)::bigint;
begin
    if shared then
        perform pg_advisory_xact_lock_shared(number);
    else
        perform pg_advisory_xact_lock(number);
    end if;
end
$$;
comment on function lifecycle.lock_address(bytea, boolean) is 'Holds the lock of an address until the transaction ends.';

create function lifecycle.suppress(hash bytea, reason text, source text) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform lifecycle.lock_address(hash, false);
    insert into lifecycle.suppressions as stored (address_hash, reason, source)
    values (hash, reason, source)
    on conflict on constraint suppressions_pkey do update set
    source = excluded.source,
    since = clock_timestamp(),
    lifted_at = null,
    lifted_why = null,
    told_kit_at = null
    where stored.lifted_at is not null;
    return found;
end
$$;
comment on function lifecycle.suppress(bytea, text, text) is 'No message goes to this address once the transaction is committed. Waits for a call that is under way. True if it was not suppressed for this reason before.';

create function lifecycle.hold(hash bytea, subscriber bigint, source text) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    is_new boolean := lifecycle.suppress(hash, 'hold', source);
begin
    update lifecycle.suppressions as s
    set kit_id = coalesce(subscriber, s.kit_id)
    where s.address_hash = hash and s.reason = 'hold';
    return is_new;
end
$$;
comment on function lifecycle.hold(bytea, bigint, text) is 'No message goes to this address before Kit was asked what it is.';

create function lifecycle.unsubscribe(address text) returns boolean
language sql
return lifecycle.suppress(lifecycle.address_hash(address), 'unsubscribed', 'api');
comment on function lifecycle.unsubscribe(text) is 'For the application: call it in the transaction that stores what the person chose.';
revoke all on function lifecycle.address_hash(text) from public;
revoke all on function lifecycle.lock_address(bytea, boolean) from public;
revoke all on function lifecycle.suppress(bytea, text, text) from public;
revoke all on function lifecycle.hold(bytea, bigint, text) from public;
revoke all on function lifecycle.unsubscribe(text) from public;

-- Whatever changes about who a user is, or whose customer, is noted where it happens. A sign-up or an
-- import must go through whatever happens here, so every error ends in these functions.
create function lifecycle.note_user() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '200ms'
as $$
begin
    insert into lifecycle.news (user_number, rereads, rebills)
    values (new.user_number, tg_op = 'INSERT', tg_op = 'INSERT');
    return null;
exception when query_canceled or assert_failure or others then
    return null;
end
$$;
comment on function lifecycle.note_user() is 'Notes a user who was numbered, deleted, restored, or whose sign-up changed. Never fails.';

create function lifecycle.note_exclusion() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '200ms'
as $$
begin
    insert into lifecycle.news (user_number, rereads, rebills)
    select n.user_number, true, true
    from activity.user_numbers as n
    where n.user_key = case tg_op when 'DELETE' then old.user_key else new.user_key end;
    return null;
exception when query_canceled or assert_failure or others then
    return null;
end
$$;
comment on function lifecycle.note_exclusion() is 'Notes a user who no longer counts, or counts again. Never fails.';

create function lifecycle.note_merge() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '200ms'
as $$
declare
    keys bytea [] := '{}';
begin
    if tg_op <> 'DELETE' then
        keys := keys || new.user_key || new.merged_key;
    end if;
    if tg_op <> 'INSERT' then
        keys := keys || old.user_key || old.merged_key;
    end if;
    insert into lifecycle.news (user_number, rereads, rebills)
    select n.user_number, true, true from activity.user_numbers as n where n.user_key = any(keys);
    return null;
exception when query_canceled or assert_failure or others then
    return null;
end
$$;
comment on function lifecycle.note_merge() is 'Notes both users of a merge, or the user that an id was merged into. Never fails.';

create function lifecycle.note_customer() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '200ms'
as $$
declare
    ids text [] := '{}';
begin
    if tg_op <> 'DELETE' then
        ids := ids || new.user_id;
    end if;
    if tg_op <> 'INSERT' then
        ids := ids || old.user_id;
    end if;
    insert into lifecycle.news (user_number, rebills)
    select n.user_number, true
    from unnest(ids) as t (id)
    left join activity.merged_ids as m on m.merged_key = sha256(convert_to(t.id, 'UTF8'))
    inner join activity.user_numbers as n
        on n.user_key = coalesce(m.user_key, sha256(convert_to(t.id, 'UTF8')));
    return null;
exception when query_canceled or assert_failure or others then
    return null;
end
$$;
comment on function lifecycle.note_customer() is 'Notes a user whose customer at Stripe changed. Never fails.';
revoke all on function lifecycle.note_user() from public;
revoke all on function lifecycle.note_exclusion() from public;
revoke all on function lifecycle.note_merge() from public;
revoke all on function lifecycle.note_customer() from public;

create trigger lifecycle_note_user after insert or update on activity.user_numbers
for each row execute function lifecycle.note_user();
create trigger lifecycle_note_merge after insert or update or delete on activity.merged_ids
for each row execute function lifecycle.note_merge();
create trigger lifecycle_note_exclusion after insert or update or delete on activity.excluded_users
for each row execute function lifecycle.note_exclusion();
create trigger lifecycle_note_customer after insert or update or delete on billing.user_customers
for each row execute function lifecycle.note_customer();

alter table lifecycle.readings enable row level security;
alter table lifecycle.readings force row level security;
create policy readings_owner on lifecycle.readings to current_user using (true) with check (true);
alter table lifecycle.news enable row level security;
alter table lifecycle.news force row level security;
create policy news_owner on lifecycle.news to current_user using (true) with check (true);
alter table lifecycle.user_days enable row level security;
alter table lifecycle.user_days force row level security;
create policy user_days_owner on lifecycle.user_days to current_user using (true) with check (true);
alter table lifecycle.last_uses enable row level security;
alter table lifecycle.last_uses force row level security;
create policy last_uses_owner on lifecycle.last_uses to current_user using (true) with check (true);
alter table lifecycle.billing_spans enable row level security;
alter table lifecycle.billing_spans force row level security;
create policy billing_spans_owner on lifecycle.billing_spans to current_user using (true) with check (true);
alter table lifecycle.users enable row level security;
alter table lifecycle.users force row level security;
create policy users_owner on lifecycle.users to current_user using (true) with check (true);
alter table lifecycle.zones enable row level security;
alter table lifecycle.zones force row level security;
create policy zones_owner on lifecycle.zones to current_user using (true) with check (true);
alter table lifecycle.transitions enable row level security;
alter table lifecycle.transitions force row level security;
create policy transitions_owner on lifecycle.transitions to current_user using (true) with check (true);
alter table lifecycle.stage_days enable row level security;
alter table lifecycle.stage_days force row level security;
create policy stage_days_owner on lifecycle.stage_days to current_user using (true) with check (true);
create policy stage_days_readers on lifecycle.stage_days for select using ((select cohorts.is_reader()));
alter table lifecycle.score_days enable row level security;
alter table lifecycle.score_days force row level security;
create policy score_days_owner on lifecycle.score_days to current_user using (true) with check (true);
create policy score_days_readers on lifecycle.score_days for select using ((select cohorts.is_reader()));
alter table lifecycle.backtests enable row level security;
alter table lifecycle.backtests force row level security;
create policy backtests_owner on lifecycle.backtests to current_user using (true) with check (true);
create policy backtests_readers on lifecycle.backtests for select using ((select cohorts.is_reader()));
alter table lifecycle.enrolments enable row level security;
alter table lifecycle.enrolments force row level security;
create policy enrolments_owner on lifecycle.enrolments to current_user using (true) with check (true);
alter table lifecycle.consents enable row level security;
alter table lifecycle.consents force row level security;
create policy consents_owner on lifecycle.consents to current_user using (true) with check (true);
alter table lifecycle.suppressions enable row level security;
alter table lifecycle.suppressions force row level security;
create policy suppressions_owner on lifecycle.suppressions to current_user using (true) with check (true);
alter table lifecycle.outbox enable row level security;
alter table lifecycle.outbox force row level security;
create policy outbox_owner on lifecycle.outbox to current_user using (true) with check (true);
alter table lifecycle.kit_calls enable row level security;
alter table lifecycle.kit_calls force row level security;
create policy kit_calls_owner on lifecycle.kit_calls to current_user using (true) with check (true);
alter table lifecycle.kit_blocks enable row level security;
alter table lifecycle.kit_blocks force row level security;
create policy kit_blocks_owner on lifecycle.kit_blocks to current_user using (true) with check (true);

-- Grain: one local day that is over and stage: users in it at the day's end. The stages of a day add up to its users.
create view marts.stage_days with (security_invoker = true) as
select
    d.day,
    d.stage,
    d.users,
    d.definition,
    d.counted_at
from lifecycle.stage_days as d;
comment on view marts.stage_days is 'Grain: one local day that is over and stage: users in it at the day''s end. The stages of a day add up to its users.';
comment on column marts.stage_days.day is 'Local day, in the zone of activity.';
comment on column marts.stage_days.stage is 'deleted, at_risk, won_back, paying, paused, trialing, churned, dormant, trial_ended, activated or signed_up.';
comment on column marts.stage_days.users is 'Users in the stage at the end of the day.';
comment on column marts.stage_days.definition is 'Name and version of the rules of stages.';
comment on column marts.stage_days.counted_at is 'When the day was counted.';

-- Grain: one local day that is over, stage and band of the engagement score. All rows of a day add up to its users.
create view marts.score_days with (security_invoker = true) as
select
    d.day,
    d.stage,
    d.band,
    d.users,
    d.score_sum,
    d.definition,
    d.counted_at
from lifecycle.score_days as d;
comment on view marts.score_days is 'Grain: one local day that is over, stage and band of the engagement score. All rows of a day add up to its users.';
comment on column marts.score_days.day is 'Local day, in the zone of activity.';
comment on column marts.score_days.stage is 'Stage at the end of the day, as in marts.stage_days.';
comment on column marts.score_days.band is 'none (score 0), low (1 to 19), fading (20 to 39), steady (40 to 69) or high (70 to 100).';
comment on column marts.score_days.users is 'Users of the stage whose score is in the band.';
comment on column marts.score_days.score_sum is 'Sum of their scores; an average is sum(score_sum) / sum(users), over any rows.';
comment on column marts.score_days.definition is 'Name and version of the score.';
comment on column marts.score_days.counted_at is 'When the day was counted.';

-- Published stages and scores are for readers, as all that is published.
create or replace function cohorts.grant_readers() returns text []
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    reader text;
    shown text;
    granted text [] := '{}';
begin
    for reader in
        select r.rolname from pg_roles as r
        where r.rolname in ('anon', 'authenticated', 'growth_ro', 'service_role') order by 1
    loop
        execute format('revoke all on all tables in schema cohorts, revenue, marts, lifecycle from %I', reader);
        execute format('revoke all on all functions in schema cohorts from %I', reader);
        continue when reader = 'anon';
        execute format('grant usage on schema cohorts to %I', reader);
        execute format('grant select on cohorts.user_cohorts to %I', reader);
        granted := granted || reader;
        continue when reader = 'authenticated';
        execute format('grant usage on schema revenue, marts, lifecycle to %I', reader);
        execute format('grant select on cohorts.cohort_overview to %I', reader);
        execute format('grant select on all tables in schema marts to %I', reader);
        for shown in
            select format('%I.%I', p.schemaname, p.tablename) from pg_policies as p
            where p.schemaname in ('cohorts', 'revenue', 'lifecycle') and p.policyname = p.tablename || '_readers'
        loop
            execute format('grant select on %s to %I', shown, reader);
        end loop;
        execute format(
            'grant execute on function cohorts.get_cohort_size, cohorts.calculate_retention_rate, cohorts.measure_cell to %I',
            reader
        );
        continue when reader = 'growth_ro';
        execute format('grant execute on function cohorts.assign_user_to_cohort to %I', reader);
    end loop;
    return granted;
end
$$;
comment on function cohorts.grant_readers() is 'Grants what the policies of cohorts, revenue, lifecycle and marts allow to those of growth_ro, authenticated and service_role that are there; returns them.';
select cohorts.grant_readers();
