"""Company tables into the lake's activity, on a real Postgres, against a plain loop."""

from __future__ import annotations

import json
import random
import uuid
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import psycopg
import pytest

from growth_pipeline.core.errors import ConfigurationError, UsageError
from growth_pipeline.events.activity.activity_store import ActivityStore
from growth_pipeline.events.activity.adopt import (
    events_view,
    read_source,
    signup_trigger,
    users_view,
)
from growth_pipeline.events.activity.rollup import (
    ACTIVITY,
    USERS,
    QualifyingSet,
    roll_up,
    roll_up_news,
)
from growth_pipeline.storage.postgres import Database
from growth_pipeline.storage.sql import migrations_dir

AS_OF = datetime(2026, 4, 2, tzinfo=UTC)
DAYS = [date(2026, 3, 20) + timedelta(days=n) for n in range(13)]


def activity_schema():
    """Text of the migrations that make the schemas of events and activity."""
    names = ("create_events", "create_activity")
    paths = [path for name in names for path in migrations_dir().glob(f"*_{name}.sql")]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


@pytest.fixture
def company(database, database_url):
    """A connection as the company: sees its own tables and knows nothing of ours."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "create schema auth;"
            "create table auth.users (id uuid primary key default gen_random_uuid(),"
            " created_at timestamptz, email text);"
            "create table auth.acts (who text, at timestamptz, what text, stored timestamptz)"
        )
        yield connection


@pytest.fixture
def store(database, company):
    made = ActivityStore(database)
    acts = read_source("auth.acts?user=who&at=at&event=what&received=stored")
    users = made.relation("auth.users")
    made.execute(
        [
            users_view(users, "id", "created_at", "email"),
            events_view([(acts, made.relation("auth.acts"))]),
        ]
    )
    return made


def sign_up(company, at):
    return str(
        company.execute(
            "insert into auth.users (created_at) values (%s) returning id", [at]
        ).fetchone()[0]
    )


def act(company, *rows):
    with company.cursor() as cursor:
        cursor.executemany("insert into auth.acts values (%s, %s, %s, %s)", rows)


def numbers_of(company):
    """Id to number, of users that were not deleted."""
    found = company.execute("select user_id, user_number from activity.user_numbers").fetchall()
    return {id: number for id, number in found if id}


def read_days(lake, dataset=ACTIVITY):
    """(user number, day number) -> events, each pair once."""
    rows = [row for one in lake.manifests(dataset) for row in lake.read(one).iter_rows()]
    found = {(user, day): events for user, day, events in rows}
    assert len(found) == len(rows)
    return found


def day_number(instant, tz):
    return (instant.astimezone(ZoneInfo(tz)).date() - date(1970, 1, 1)).days


@pytest.mark.parametrize("tz", ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Auckland"])
def test_a_rollup_is_what_a_plain_loop_counts(store, company, lake, engine, seed, tz):
    rng = random.Random(f"{seed} {tz}")
    start = datetime(2026, 3, 19, tzinfo=UTC)
    users = [sign_up(company, start + timedelta(hours=n)) for n in range(20)]
    rows = []
    for _ in range(800):
        at = start + timedelta(seconds=rng.randrange(15 * 86_400))
        rows.append((rng.choice([*users, "stranger"]), at, rng.choice("ab"), at))
    act(company, *rows)
    store.exclude(users[3], "ours")
    rolled = roll_up(store, lake, engine, DAYS, as_of=AS_OF, qualifying=QualifyingSet(tz=tz))

    numbers = numbers_of(company)
    first, last = ((day - date(1970, 1, 1)).days for day in (DAYS[0], DAYS[-1]))
    inside = [
        (who, day_number(at, tz))
        for who, at, _, _ in rows
        if at < AS_OF and first <= day_number(at, tz) <= last
    ]
    expected = Counter(
        (numbers[who], day) for who, day in inside if who not in ("stranger", users[3])
    )
    assert read_days(lake) == dict(expected)
    assert rolled.dropped == {
        "unknown_user": sum(who == "stranger" for who, _ in inside),
        "excluded": sum(who == users[3] for who, _ in inside),
    }
    (entries,) = lake.manifests(USERS)
    assert dict(lake.read(entries).iter_rows()) == {
        numbers[id]: day_number(start + timedelta(hours=n), tz)
        for n, id in enumerate(users)
        if n != 3
    }
    assert lake.read(entries).schema == {"user_number": pl.Int32, "entry_day": pl.Int32}


def test_late_events_change_only_their_days(store, company, lake, engine):
    user = sign_up(company, datetime(2026, 3, 1, tzinfo=UTC))
    noon = datetime(2026, 3, 21, 12, tzinfo=UTC)
    act(
        company,
        *[(user, noon + timedelta(days=n), "a", noon + timedelta(days=n)) for n in range(5)],
    )
    now = datetime(2026, 3, 26, tzinfo=UTC)
    first = roll_up_news(store, lake, engine, as_of=now, now=now)
    before = {one.partition["day"]: one.sha256 for one in lake.manifests(ACTIVITY)}
    act(company, (user, noon, "a", now + timedelta(hours=1)))
    later = now + timedelta(days=1)
    second = roll_up_news(store, lake, engine, as_of=later, now=later)
    after = {one.partition["day"]: one.sha256 for one in lake.manifests(ACTIVITY)}

    assert (first.days, first.changed) == (5, tuple(DAYS[n] for n in range(1, 6)))
    assert (second.days, second.changed) == (1, (date(2026, 3, 21),))
    assert {day for day in after if after[day] != before[day]} == {"2026-03-21"}
    assert roll_up_news(store, lake, engine, as_of=later, now=later).changed == ()


def test_an_event_at_the_as_of_instant_does_not_exist_yet(store, company, lake, engine):
    user = sign_up(company, datetime(2026, 3, 1, tzinfo=UTC))
    act(
        company,
        (user, AS_OF, "a", AS_OF),
        (user, AS_OF - timedelta(microseconds=1), "a", AS_OF),
        (user, "infinity", "a", AS_OF),
        (user, "-infinity", "a", AS_OF),
    )
    roll_up_news(store, lake, engine, as_of=AS_OF, now=AS_OF)
    assert list(read_days(lake).values()) == [1]


def test_anonymous_ids_count_as_the_user_they_turned_out_to_be(store, company, lake, engine):
    user = sign_up(company, datetime(2026, 3, 1, tzinfo=UTC))
    noon = datetime(2026, 3, 21, 12, tzinfo=UTC)
    act(company, ("anon-1", noon, "a", noon), (user, noon, "a", noon))
    store.merge("anon-1", user)
    rolled = roll_up(store, lake, engine, DAYS, as_of=AS_OF)
    assert list(read_days(lake).values()) == [2]
    assert rolled.dropped == {"unknown_user": 0, "excluded": 0}


def test_a_deleted_user_stays_as_a_number_and_history_does_not_move(store, company, lake, engine):
    gone, stays = (sign_up(company, datetime(2026, 3, n, tzinfo=UTC)) for n in (1, 2))
    noon = datetime(2026, 3, 21, 12, tzinfo=UTC)
    act(company, (gone, noon, "a", noon), (stays, noon, "a", noon))
    roll_up(store, lake, engine, DAYS, as_of=AS_OF)
    before = read_days(lake), lake.manifests(USERS)[0].sha256
    company.execute("delete from auth.users where id = %s", [gone])
    again = roll_up(store, lake, engine, DAYS, as_of=AS_OF)
    assert again.changed == ()
    assert (read_days(lake), lake.manifests(USERS)[0].sha256) == before
    assert set(numbers_of(company)) == {stays}


def test_a_source_that_is_suddenly_empty_deletes_nobody(store, company):
    sign_up(company, datetime(2026, 3, 1, tzinfo=UTC))
    store.number_users(now=AS_OF)
    company.execute("truncate auth.users")
    assert not any(store.number_users(now=AS_OF).values())


def test_numbers_follow_the_order_of_sign_up(store, company):
    days = [5, 2, 9, 1, 7]
    users = {day: sign_up(company, datetime(2026, 3, day, tzinfo=UTC)) for day in days}
    store.number_users(now=AS_OF)
    numbers = numbers_of(company)
    assert sorted(days) == sorted(days, key=lambda day: numbers[users[day]])


def test_a_named_set_of_events_has_its_own_dataset(store, company, lake, engine):
    user = sign_up(company, datetime(2026, 3, 1, tzinfo=UTC))
    noon = datetime(2026, 3, 21, 12, tzinfo=UTC)
    act(company, (user, noon, "open", noon), (user, noon, "pay", noon))
    paying = QualifyingSet("paying", ("pay",))
    for chosen in (QualifyingSet(), paying):
        roll_up(store, lake, engine, DAYS, as_of=AS_OF, qualifying=chosen)
    assert list(read_days(lake).values()) == [2]
    assert list(read_days(lake, "activity_paying").values()) == [1]
    with pytest.raises(UsageError, match="other events"):
        roll_up(
            store, lake, engine, DAYS, as_of=AS_OF, qualifying=QualifyingSet("paying", ("open",))
        )
    with pytest.raises(UsageError, match="zone UTC"):
        roll_up(store, lake, engine, DAYS, as_of=AS_OF, qualifying=QualifyingSet(tz="Asia/Tokyo"))


@pytest.mark.parametrize("type", ["uuid", "bigint", "text"])
def test_hostile_names_are_only_names(database, company, lake, engine, type):
    company.execute(
        'create schema "a; drop schema auth cascade; --";'
        f'create table "a; drop schema auth cascade; --"."u""\'%s" ("i d\'%" {type},'
        ' "c""\\" timestamp, "select" text)'
    )
    value = {"uuid": "6f0e1c1e-0000-4000-8000-000000000001", "bigint": "17", "text": "x'\"\\%s"}
    company.execute(
        'insert into "a; drop schema auth cascade; --"."u""\'%%s" values'
        f" (%s::{type}, '2026-03-21 23:30', 'e')",
        [value[type]],
    )
    store = ActivityStore(database)
    name = '"a; drop schema auth cascade; --"."u""\'%s"'
    relation = store.relation(name)
    source = read_source(f"{name}?user=i+d%27%25&at=c%22%5C&event=select")
    store.execute(
        [
            users_view(relation, "i d'%", 'c"\\', "select"),
            *signup_trigger(relation, "i d'%", 'c"\\'),
            events_view([(source, relation)]),
        ]
    )
    roll_up(store, lake, engine, DAYS, as_of=AS_OF)
    company.execute(
        'insert into "a; drop schema auth cascade; --"."u""\'%%s" ("i d\'%%") values (%s)',
        [{"uuid": "6f0e1c1e-0000-4000-8000-000000000002", "bigint": 18, "text": "y"}[type]],
    )
    assert list(read_days(lake).values()) == [1]
    assert len(numbers_of(company)) == 2, "the trigger saw the second sign-up"
    assert company.execute("select to_regclass('auth.users') is not null").fetchone() == (True,)


def test_a_sign_up_goes_through_when_the_trigger_cannot_work(store, company, database_url):
    store.execute(signup_trigger(store.relation("auth.users"), "id", "created_at"))
    with psycopg.connect(database_url) as blocker:
        blocker.execute("lock table activity.user_numbers in access exclusive mode")
        sign_up(company, AS_OF)
    company.execute("drop table activity.user_numbers cascade")
    sign_up(company, AS_OF)
    assert company.execute("select count(*) from auth.users").fetchone() == (2,)


@pytest.mark.parametrize(
    "name", ["nope", "auth.nope", "auth..users", "", "a b", "auth.users;", "'"]
)
def test_what_is_no_table_is_refused(store, name):
    with pytest.raises(UsageError, match="no table or view"):
        store.relation(name)


def test_wrong_columns_are_refused_with_what_is_there(store):
    users = store.relation("auth.users")
    with pytest.raises(UsageError, match="no readable column 'nope'"):
        users_view(users, "nope", "created_at", None)
    with pytest.raises(UsageError, match="no instant"):
        users_view(users, "id", "email", None)
    with pytest.raises(UsageError, match="no id"):
        users_view(users, "created_at", "created_at", None)
    for text in ("auth.acts", "auth.acts?user=who", "?user=a&at=b", "t?user=a&at=b&x=c"):
        with pytest.raises(UsageError, match="which column is what"):
            read_source(text)


def test_the_certificate_says_how_a_day_was_made(store, company, lake, engine):
    sign_up(company, datetime(2026, 3, 1, tzinfo=UTC))
    roll_up(store, lake, engine, DAYS[:1], as_of=AS_OF)
    (manifest,) = lake.manifests(ACTIVITY)
    assert json.loads(json.dumps(manifest.certificate)) == {
        "definition": "activity@1",
        "tz": "UTC",
        "events": None,
        "as_of": "2026-04-02T00:00:00+00:00",
        "users": 0,
        "dropped": {},
    }


def test_a_role_that_may_only_read_the_company_is_enough(company, database_url, lake, engine):
    user = sign_up(company, datetime(2026, 3, 1, tzinfo=UTC))
    noon = datetime(2026, 3, 21, 12, tzinfo=UTC)
    act(company, (user, noon, "a", noon))
    role = f"growth_reader_{uuid.uuid4().hex[:12]}"
    name = company.execute("select current_database()").fetchone()[0]
    company.execute(
        f"create role {role}; grant create on database {name} to {role};"
        f"grant usage on schema auth to {role}; grant select on all tables in schema auth to {role};"
        "drop schema activity cascade; drop schema events cascade"
    )
    mark = "&" if "?" in database_url else "?"
    try:
        with Database(f"{database_url}{mark}options=-c%20role%3D{role}") as reader:
            with reader.connection() as connection:
                connection.execute(activity_schema())
            store = ActivityStore(reader)
            users = store.relation("auth.users")
            source = read_source("auth.acts?user=who&at=at")
            store.execute(
                [
                    users_view(users, "id", "created_at", None),
                    events_view([(source, store.relation("auth.acts"))]),
                ]
            )
            roll_up(store, lake, engine, DAYS, as_of=AS_OF)
            assert list(read_days(lake).values()) == [1]
            with pytest.raises(ConfigurationError, match="refuses"):
                store.execute(signup_trigger(users, "id", "created_at"))
    finally:
        company.execute(f"drop owned by {role}; drop role {role}")


def test_many_events_are_read_in_bounded_memory(store, company, lake, engine):
    user = sign_up(company, datetime(2026, 3, 1, tzinfo=UTC))
    company.execute(
        "insert into auth.acts select %s, '2026-03-21'::timestamptz + n * interval '1 second',"
        " 'a', null from generate_series(0, 299999) as n",
        [user],
    )
    with store.events(DAYS[0], DAYS[-1], tz="UTC", as_of=AS_OF, events=None) as batches:
        sizes = [batch.height for batch in batches]
    assert (sum(sizes), max(sizes)) == (300_000, 100_000)
    roll_up(store, lake, engine, DAYS, as_of=AS_OF)
    found = read_days(lake)
    assert sum(found.values()) == 300_000
    assert sorted(found.values()) == [40_800, 86_400, 86_400, 86_400]
