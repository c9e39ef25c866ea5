"""Write keys, counts and dead letters on a real Postgres."""

import asyncio
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest

from growth_pipeline.core.errors import RemoteUnavailableError, UsageError
from growth_pipeline.events.ingest.counts import Counted
from growth_pipeline.events.ingest.ingest import Origin, take
from growth_pipeline.events.ingest.ingest_store import IngestStore
from growth_pipeline.events.ingest.keys import hash_key
from growth_pipeline.events.ingest.replay import Wanted, replay
from growth_pipeline.events.store import AsyncIngest
from growth_pipeline.storage.postgres import AsyncDatabase, RowsRefusedError

NOW = datetime(2026, 10, 5, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
DAY = date(2026, 10, 5)
PAGE = "https://app.example"


@pytest.fixture
def store(database):
    return IngestStore(database)


@pytest.fixture
def ask(database_url):
    """Runs one call of AsyncIngest on a connection of its own."""

    def run(call):
        async def main():
            opened = AsyncDatabase(database_url)
            try:
                return await call(AsyncIngest(opened))
            finally:
                await opened.close()

        return asyncio.run(main())

    return run


def a_call(message_id="m1", **more):
    return {"type": "track", "event": "Thing Done", "userId": "u", "messageId": message_id} | more


def bring(ask, calls, **origin):
    taken = take(calls, Origin(**({"source_id": 1, "received_at": NOW, "key_id": 1} | origin)))
    return ask(lambda ingest: ingest.insert(taken.rows, taken.dead))


def table(database, query):
    with database.connection() as connection:
        return connection.execute(query).fetchall()


# --- keys ----------------------------------------------------------------------------------------


def test_a_key_is_shown_once_and_kept_as_its_hash(store, database, ask):
    made = store.create_key("app", [PAGE], now=NOW)
    ring = ask(lambda ingest: ingest.keys())
    key = ring.find(made.key)
    assert (key.key_id, key.source, key.origins) == (made.key_id, "app", (PAGE,))
    (row,) = table(database, "select key_hash, shown, created_at from events.write_keys")
    assert (bytes(row[0]), row[1], row[2]) == (hash_key(made.key), made.key[:10], NOW)
    assert made.key not in str(table(database, "select * from events.write_keys"))


def test_two_keys_of_one_name_are_of_one_source(store, ask):
    made = [store.create_key(name, [], now=NOW) for name in ("app", "app", "site")]
    ring = ask(lambda ingest: ingest.keys())
    first, second, other = (ring.find(one.key) for one in made)
    assert first.source_id == second.source_id != other.source_id
    assert len({first.key_id, second.key_id, other.key_id}) == 3


def test_a_revoked_key_is_gone_and_was_revoked_once(store, ask):
    made = store.create_key("app", [], now=NOW)
    assert store.revoke_key(made.key_id, now=NOW) == NOW
    assert store.revoke_key(made.key_id, now=LATER) == NOW
    assert ask(lambda ingest: ingest.keys()).find(made.key) is None
    assert [key.revoked_at for key in store.keys(DAY)] == [NOW]
    with pytest.raises(UsageError, match="no write key 77"):
        store.revoke_key(77, now=NOW)


def test_counts_are_added_and_shown_by_key_since_a_day(store, ask):
    made = store.create_key("app", [], now=NOW)
    early = Counter({Counted(DAY - timedelta(days=1), made.key_id, "stored"): 100})
    today = Counter({Counted(DAY, made.key_id, "stored"): 5, Counted(DAY, 0, "unauthorized"): 2})
    for counts in (early, today, today):
        ask(lambda ingest, counts=counts: ingest.add_counts(counts))
    (key,) = store.keys(DAY)
    assert key.counts == {"stored": 10}
    assert store.counts_without_key(DAY) == {"unauthorized": 4}
    assert store.keys(DAY - timedelta(days=1))[0].counts == {"stored": 110}


# --- events --------------------------------------------------------------------------------------


def test_what_is_new_is_counted_by_the_key_that_brought_it(ask):
    assert bring(ask, [a_call("m1"), a_call("m2"), a_call("m1")]) == {1: 2}
    assert bring(ask, [a_call("m2"), a_call("m3")], key_id=2) == {2: 1}
    assert bring(ask, [a_call("m1")], key_id=2) == {}
    assert bring(ask, [a_call("m1")], source_id=2, key_id=3) == {3: 1}


def test_the_first_that_comes_stays_whatever_comes_later(ask, database):
    bring(ask, [a_call("m1", userId="first")])
    bring(ask, [a_call("m1", userId="second")], received_at=NOW + timedelta(days=400))
    assert table(database, "select user_id, received_at from events.events") == [("first", NOW)]


def test_the_first_of_a_batch_stays_whatever_stands_between(ask, database):
    calls = [a_call(f"m{n % 7}", userId=f"u{n // 7}") for n in range(140)]
    assert bring(ask, calls) == {1: 7}
    assert table(database, "select distinct user_id from events.events") == [("u0",)]


def test_times_of_any_year_are_stored(ask, database):
    for number, sent in enumerate(("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z")):
        bring(ask, [a_call(f"m{number}", timestamp=sent)], sent_at=sent)
    rows = table(database, "select occurred_at, flags from events.events order by message_id")
    assert rows == [(NOW, ["not_in_catalogue"]), (NOW, ["not_in_catalogue"])]


def test_nothing_of_a_request_is_stored_when_a_value_of_it_is_refused(ask, database):
    with database.connection() as connection:
        connection.execute("alter table events.events add check (user_id <> 'odd')")
    with pytest.raises(RowsRefusedError):
        bring(ask, [a_call("m1"), a_call("m2", userId="odd"), 7])
    assert table(database, "select 1 from events.events") == []
    assert table(database, "select 1 from events.dead_letters") == []


def fail_with(database, sqlstate):
    """The database answers every new event with an error of this code."""
    with database.connection() as connection:
        connection.execute(
            "create function events.fail() returns trigger language plpgsql as"
            f" $$ begin raise 'not now' using errcode = '{sqlstate}'; end $$"
        )
        connection.execute(
            "create trigger fail before insert on events.events"
            " for each row execute function events.fail()"
        )


@pytest.mark.parametrize(
    "sqlstate",
    [
        *("25006", "40001", "40P01", "53100", "53200", "55P03", "57014", "58030"),
    ],
    ids=[
        *("read only", "serialization", "deadlock", "disk full", "out of memory", "lock timeout"),
        *("statement timeout", "io error"),
    ],
)
def test_a_database_that_cannot_store_now_is_away_and_refuses_no_value(ask, database, sqlstate):
    fail_with(database, sqlstate)
    with pytest.raises(RemoteUnavailableError):
        bring(ask, [a_call("m1")])


@pytest.mark.parametrize("sqlstate", ["22P05", "23514", "54000", "54001"])
def test_a_value_that_the_database_can_never_store_is_refused(ask, database, sqlstate):
    fail_with(database, sqlstate)
    with pytest.raises(RowsRefusedError):
        bring(ask, [a_call("m1")])


def test_a_database_without_the_tables_is_away_and_not_a_mistake_of_the_sender(
    ask, database, store
):
    with database.connection() as connection:
        connection.execute("drop schema events cascade")
    for call in (
        lambda: bring(ask, [a_call()]),
        lambda: ask(lambda ingest: ingest.keys()),
        lambda: store.keys(DAY),
    ):
        with pytest.raises(RemoteUnavailableError, match="tables of this version"):
            call()


@pytest.mark.parametrize(
    "change",
    ["drop constraint events_pkey", "alter column sent_at type integer using 0"],
)
def test_tables_of_another_version_are_no_mistake_of_a_call(ask, database, change):
    with database.connection() as connection:
        connection.execute(f"alter table events.events {change}")
    with pytest.raises(RemoteUnavailableError, match="tables of this version"):
        bring(ask, [a_call()])


# --- dead letters --------------------------------------------------------------------------------


@pytest.fixture
def letters(store, ask):
    """Three calls that were rejected: two by rules that never change, one by the catalogue."""
    store.create_key("app", [], now=NOW)
    bring(ask, [7])
    bring(ask, [{"type": "no"}])
    wrong = a_call("typed", event="Project Created", properties={})
    bring(ask, [wrong], is_typed=True, sent_at="2026-10-05T12:00:00Z")
    return store.letters(limit=100, replayed=False, reason=None)


def test_rejected_calls_are_listed_the_newest_first(letters, store):
    assert [one.reason.split(":")[0] for one in letters] == [
        "properties_differ",
        "unknown_type",
        "not_an_object",
    ]
    assert {one.source for one in letters} == {"app"}
    assert store.count_letters() == {
        "not_an_object": 1,
        "properties_differ": 1,
        "unknown_type": 1,
    }
    assert len(store.letters(limit=1, replayed=False, reason=None)) == 1
    (found,) = store.letters(limit=9, replayed=False, reason="unknown_type")
    assert json.loads(store.letter(found.dead_letter_id).body) == {"type": "no"}
    with pytest.raises(UsageError, match="no dead letter 77"):
        store.letter(77)


def test_the_same_rejected_call_is_kept_once(letters, store, ask):
    bring(ask, [7], received_at=LATER)
    assert [one.received_at for one in store.letters(limit=9, replayed=True, reason=None)] == [
        NOW
    ] * 3


def test_a_replay_takes_what_is_right_by_now_and_explains_the_rest(letters, store, database):
    with database.connection() as connection:
        connection.execute(
            "update events.dead_letters set reason = 'old_rule: then',"
            ' body = convert_to(\'{"type": "page", "userId": "u", "messageId": "p1"}\', \'UTF8\')'
            " where reason like 'unknown_type%'"
        )
    done = replay(store, Wanted(), now=LATER)
    assert len(done.taken) == 1
    assert sorted(reason.split(":")[0] for reason in done.refused.values()) == [
        "not_an_object",
        "properties_differ",
    ]
    rows = table(database, "select message_id, key_id, received_at from events.events")
    assert rows == [("p1", 1, LATER)], "whoever reads what came since yesterday finds it"
    assert replay(store, Wanted(), now=LATER).taken == [], "each is taken once"
    (taken,) = table(
        database, "select replayed_at from events.dead_letters where replayed_at is not null"
    )
    assert taken == (LATER,)


def test_a_replayed_call_happened_when_it_was_told_by_the_clock_of_its_receipt(
    store, ask, database
):
    told = {"timestamp": "2036-10-05T11:00:00Z", "event": "Project Created", "properties": {}}
    calls = [a_call("told", **told), a_call("untold", **told | {"timestamp": None})]
    bring(ask, calls, is_typed=True, sent_at="2036-10-05T12:00:00Z")
    with database.connection() as connection:
        connection.execute("update events.dead_letters set is_typed = false")
    assert len(replay(store, Wanted(), now=LATER).taken) == 2
    rows = table(database, "select message_id, occurred_at from events.events order by 1")
    assert rows == [("told", NOW - timedelta(hours=1)), ("untold", NOW)]


def test_a_replay_of_one_reads_only_that(letters, store):
    newest = letters[0].dead_letter_id
    assert list(replay(store, Wanted(newest), now=LATER).refused) == [newest]
    by_reason = replay(store, Wanted(reason="unknown_type"), now=LATER)
    assert list(by_reason.refused) == [letters[1].dead_letter_id]


def test_a_replayed_call_that_is_known_already_is_no_second_event(letters, store, ask, database):
    with database.connection() as connection:
        connection.execute("update events.dead_letters set is_typed = false")
    bring(ask, [a_call("typed", userId="before")])
    assert len(replay(store, Wanted(), now=LATER).taken) == 1
    assert table(database, "select user_id from events.events") == [("before",)]


def test_a_call_that_the_database_refuses_again_does_not_stop_a_replay(letters, store, database):
    with database.connection() as connection:
        connection.execute("update events.dead_letters set is_typed = false")
        connection.execute("alter table events.events add check (message_id <> 'typed')")
    done = replay(store, Wanted(), now=LATER)
    assert done.refused[letters[0].dead_letter_id].startswith("refused_by_database: ")
    assert len(done.refused) == 3


def test_a_dry_run_changes_nothing(letters, store, database):
    with database.connection() as connection:
        connection.execute("update events.dead_letters set is_typed = false")
    database.dry_run = True
    assert len(replay(store, Wanted(), now=LATER).taken) == 1
    database.dry_run = False
    assert table(database, "select 1 from events.events") == []
    assert len(store.letters(limit=9, replayed=False, reason=None)) == 3


def test_replays_at_once_take_each_call_once(store, ask, database):
    bring(ask, [{"type": "no", "n": n} for n in range(700)])
    with database.connection() as connection:
        connection.execute(
            "update events.dead_letters set body = convert_to(jsonb_build_object("
            "'type', 'page', 'userId', 'u', 'messageId', dead_letter_id::text)::text, 'UTF8')"
        )
    with ThreadPoolExecutor(4) as threads:
        running = [threads.submit(replay, store, Wanted(), now=LATER) for _ in range(4)]
        taken = [one for done in running for one in done.result().taken]
    assert len(taken) == len(set(taken)) == 700
    assert table(database, "select count(*) from events.events") == [(700,)]


def test_many_are_replayed_in_pages(store, ask, database):
    bring(ask, [{"type": "no", "n": n} for n in range(1203)])
    with database.connection() as connection:
        connection.execute(
            "update events.dead_letters set body = convert_to(jsonb_build_object("
            "'type', 'page', 'userId', 'u', 'messageId', dead_letter_id::text)::text, 'UTF8')"
        )
    assert len(replay(store, Wanted(), now=LATER).taken) == 1203
    assert table(database, "select count(*) from events.events") == [(1203,)]
