"""Events of the ingest into activity: who the users are, what is theirs, against a plain loop."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import polars as pl
import psycopg
import pytest

from growth_pipeline.events.activity.activity_store import ActivityStore
from growth_pipeline.events.activity.rollup import ACTIVITY, USERS, roll_up_news
from growth_pipeline.events.catalogue.registry import ACTIVITY_EVENTS, CATALOGUE
from growth_pipeline.events.ingest.ingest import Origin, take
from growth_pipeline.events.store import as_parameters
from growth_pipeline.storage.sql import load_sql

EPOCH = date(1970, 1, 1)
START = datetime(2026, 3, 1, tzinfo=UTC)
NOW = datetime(2026, 3, 20, 3, tzinfo=UTC)


class Ingest:
    """Takes calls as the web app does, at an instant."""

    def __init__(self, connection):
        self._connection = connection

    def tell(self, *calls, at):
        taken = take(
            [
                {"messageId": str(uuid.uuid4()), "timestamp": at.isoformat(), **call}
                for call in calls
            ],
            Origin(1, at),
        )
        assert not taken.rejected
        self._connection.execute(
            load_sql("events/insert_events"), as_parameters(taken.rows, taken.dead)
        )


@pytest.fixture
def ingest(database, database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield Ingest(connection)


@pytest.fixture
def store(database):
    return ActivityStore(database)


def track(user, event="Feature Used", **more):
    return {"type": "track", "userId": user, "event": event, "properties": {}, **more}


def seen(anonymous, **more):
    return {"type": "page", "anonymousId": anonymous, "name": "Pricing", **more}


def identify(user, anonymous=None, **traits):
    named = {"anonymousId": anonymous} if anonymous else {}
    return {"type": "identify", "userId": user, "traits": traits, **named}


def read(lake, database):
    """(user id, day) -> events, by the id that the number stands for."""
    with database.connection() as connection:
        ids = dict(
            connection.execute("select user_number, user_id from activity.user_numbers").fetchall()
        )
    rows = [row for one in lake.manifests(ACTIVITY) for row in lake.read(one).iter_rows()]
    return {(ids[user], EPOCH + timedelta(days=day)): events for user, day, events in rows}


def entries(lake, database):
    with database.connection() as connection:
        ids = dict(
            connection.execute("select user_number, user_id from activity.user_numbers").fetchall()
        )
    (manifest,) = lake.manifests(USERS)
    frame: pl.DataFrame = lake.read(manifest)
    return {ids[user]: EPOCH + timedelta(days=day) for user, day in frame.iter_rows()}


def test_users_and_activity_come_from_the_ingest_without_any_setting(
    store, database, ingest, lake, engine
):
    at = START + timedelta(hours=12)
    ingest.tell(track("ada", "User Signed Up"), track("ada"), at=at)
    ingest.tell(identify("bo", createdAt="2026-02-10T08:00:00+01:00", email="b@x.example"), at=at)
    ingest.tell(track("bo"), {"type": "screen", "userId": "bo"}, at=at + timedelta(days=1))
    ingest.tell(track("cy"), at=at)
    rolled = roll_up_news(store, lake, engine, as_of=NOW, now=NOW)
    assert read(lake, database) == {
        ("ada", date(2026, 3, 1)): 2,
        ("bo", date(2026, 3, 2)): 2,
        ("cy", date(2026, 3, 1)): 1,
    }
    # Nobody told when cy signed up, so cy is in no cohort.
    assert entries(lake, database) == {"ada": date(2026, 3, 1), "bo": date(2026, 2, 10)}
    assert (rolled.events, rolled.kept) == (5, 5)


def test_what_an_anonymous_id_did_before_it_was_identified_counts_as_the_users(
    store, database, ingest, lake, engine
):
    at = START + timedelta(hours=12)
    ingest.tell(seen("anon-1"), seen("anon-2"), at=at)
    first = roll_up_news(store, lake, engine, as_of=NOW, now=NOW)
    assert (read(lake, database), first.dropped["unknown_user"]) == ({}, 2)
    later = NOW + timedelta(days=1)
    ingest.tell(identify("ada", "anon-1"), at=later - timedelta(hours=1))
    ingest.tell(
        {"type": "alias", "previousId": "anon-2", "userId": "ada"}, at=later - timedelta(hours=1)
    )
    second = roll_up_news(store, lake, engine, as_of=later, now=later)
    assert read(lake, database) == {("ada", date(2026, 3, 1)): 2}
    assert second.changed == (date(2026, 3, 1),)
    assert second.learned["merged"] == 2
    much_later = later + timedelta(days=2)
    third = roll_up_news(store, lake, engine, as_of=much_later, now=much_later)
    assert (third.days, third.changed) == (0, ())


def test_the_first_who_identified_keeps_what_the_anonymous_id_did(
    store, database, ingest, lake, engine
):
    at = START + timedelta(hours=12)
    ingest.tell(seen("shared"), at=at)
    ingest.tell(identify("ada", "shared"), at=at + timedelta(hours=1))
    ingest.tell(identify("bo", "shared"), at=at + timedelta(hours=2))
    roll_up_news(store, lake, engine, as_of=NOW, now=NOW)
    assert read(lake, database) == {("ada", date(2026, 3, 1)): 1}


def test_no_call_takes_a_user_out_of_the_numbers(store, database, ingest, lake, engine):
    at = START + timedelta(hours=12)
    ingest.tell(track("ada", "User Signed Up"), at=at)
    ingest.tell(identify("mallory", "ada"), at=at + timedelta(hours=1))
    ingest.tell({"type": "alias", "previousId": "ada", "userId": "mallory"}, at=at)
    roll_up_news(store, lake, engine, as_of=NOW, now=NOW)
    assert read(lake, database) == {("ada", date(2026, 3, 1)): 1}
    store.merge("ada", "mallory", now=NOW + timedelta(hours=1))
    later = NOW + timedelta(days=1)
    rolled = roll_up_news(store, lake, engine, as_of=later, now=later)
    assert rolled.changed == (date(2026, 3, 1),)
    assert read(lake, database) == {("mallory", date(2026, 3, 1)): 1}
    assert entries(lake, database) == {"mallory": date(2026, 3, 1)}


def test_merges_by_command_follow_each_other_and_circles_do_nothing(store, database):
    for anonymous, user in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")):
        store.merge(anonymous, user, now=NOW)
    with database.connection() as connection:
        rows = connection.execute("select merged_key, user_key from activity.merged_ids").fetchall()
        names = {
            connection.execute("select sha256(%s)", [one.encode()]).fetchone()[0]: one
            for one in "abcd"
        }
    assert {names[merged]: names[user] for merged, user in rows} == {"a": "c", "b": "c", "d": "c"}


def test_an_excluded_user_leaves_every_day_at_the_next_rollup(
    store, database, ingest, lake, engine
):
    for n in range(3):
        at = START + timedelta(days=n, hours=12)
        ingest.tell(track("ada", "User Signed Up"), track("bo", "User Signed Up"), at=at)
    roll_up_news(store, lake, engine, as_of=NOW, now=NOW)
    store.exclude("bo", "ours", now=NOW + timedelta(hours=2))
    later = NOW + timedelta(days=1)
    rolled = roll_up_news(store, lake, engine, as_of=later, now=later)
    assert len(rolled.changed) == 3
    assert {user for user, _ in read(lake, database)} == {"ada"}
    assert set(entries(lake, database)) == {"ada"}


def test_events_that_no_user_does_make_nobody_active(store, database, ingest, lake, engine):
    passive = sorted(set(CATALOGUE) - ACTIVITY_EVENTS)
    assert passive
    at = START + timedelta(hours=12)
    ingest.tell(*[track("ada", event) for event in passive], at=at)
    ingest.tell(*[track("bo", event) for event in sorted(ACTIVITY_EVENTS)], at=at)
    roll_up_news(store, lake, engine, as_of=NOW, now=NOW)
    assert read(lake, database) == {("bo", date(2026, 3, 1)): len(ACTIVITY_EVENTS)}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("2026-02-10T23:30:00-02:00", date(2026, 2, 11)),
        ("2026-02-10", date(2026, 2, 10)),
        ("2026-02-10 08:15", date(2026, 2, 10)),
        (1770681600, date(2026, 2, 10)),
        (1770681600123, date(2026, 2, 10)),
        ("2026-02-30T00:00:00Z", None),
        ("yesterday", None),
        ("infinity", None),
        (-1, None),
        (1e300, None),
        (True, None),
        ({"a": 1}, None),
        (None, None),
    ],
)
def test_created_at_is_an_instant_or_unknown(store, database, ingest, lake, engine, told, expected):
    ingest.tell(identify("ada", createdAt=told), at=START)
    roll_up_news(store, lake, engine, as_of=NOW, now=NOW)
    assert entries(lake, database) == ({} if expected is None else {"ada": expected})


def test_a_sign_up_that_is_told_late_moves_the_user_to_its_cohort(
    store, database, ingest, lake, engine
):
    ingest.tell(track("ada"), at=START + timedelta(days=3))
    roll_up_news(store, lake, engine, as_of=NOW, now=NOW)
    assert entries(lake, database) == {}
    later = NOW + timedelta(days=1)
    ingest.tell(
        track("ada", "User Signed Up", timestamp=START.isoformat()), at=later - timedelta(hours=2)
    )
    rolled = roll_up_news(store, lake, engine, as_of=later, now=later)
    assert entries(lake, database) == {"ada": START.date()}
    assert rolled.learned["corrected"] == 1


def test_many_small_rollups_are_one_of_a_plain_loop(store, database, ingest, lake, engine, seed):
    """Ids are used before and after somebody says whose they are; each step rolls up."""
    rng = random.Random(seed)
    users = [f"u{n}" for n in range(6)]
    devices = [f"d{n}" for n in range(8)]
    owner: dict[str, str] = {}
    acts: list[tuple[str, date]] = []
    clock = START
    for _ in range(6):
        calls = []
        for _ in range(40):
            clock += timedelta(seconds=rng.randrange(1, 9000))
            at = (
                clock - timedelta(seconds=rng.randrange(5 * 86_400))
                if rng.random() < 0.3
                else clock
            )
            choice = rng.random()
            if choice < 0.1:
                user, device = rng.choice(users), rng.choice(devices)
                owner.setdefault(device, user)
                calls.append((identify(user, device), at))
            else:
                id = rng.choice(users if choice < 0.5 else devices)
                call = track(id) if id in users else seen(id)
                calls.append((call, at))
                acts.append((id, at.date()))
            call, at = calls[-1]
            ingest.tell({**call, "timestamp": at.isoformat()}, at=clock)
        clock += timedelta(hours=2)
        roll_up_news(store, lake, engine, as_of=clock, now=clock)
    known = {id for id, _ in acts if id in users} | set(owner.values())
    expected = Counter((owner.get(id, id), day) for id, day in acts if owner.get(id, id) in known)
    assert read(lake, database) == dict(expected)
