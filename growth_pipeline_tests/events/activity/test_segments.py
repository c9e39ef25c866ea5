"""What users are split by: traits of the ingest, files, adopted tables, in a real Postgres."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from growth_pipeline.core.errors import UsageError
from growth_pipeline.events.activity.activity_store import (
    MOST_SEGMENTS,
    OTHER_SEGMENTS,
    ActivityStore,
)
from growth_pipeline.events.activity.adopt import segments_view
from growth_pipeline.events.activity.rollup import roll_up_news
from growth_pipeline.events.activity.segments import SEGMENTS
from growth_pipeline_tests.events.activity.test_own_events import Ingest, identify, track

NOW = datetime(2026, 3, 20, 3, tzinfo=UTC)
AT = NOW - timedelta(days=3)


@pytest.fixture
def connection(database, database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def ingest(connection):
    return Ingest(connection)


@pytest.fixture
def store(database):
    return ActivityStore(database)


@pytest.fixture
def rolled(store, lake, engine):
    """Rolls up at an instant and returns what the lake says of users by plan."""

    def roll(now=NOW, segments=("plan",)):
        roll_up_news(store, lake, engine, as_of=now, now=now, segments=segments)

    return roll


def plans(lake, connection, segment_by="plan"):
    names = dict(
        connection.execute("select user_number, user_id from activity.user_numbers").fetchall()
    )
    frame = lake.read(lake.read_manifest(SEGMENTS, {"segment_by": segment_by}))
    return {names[number]: segment for number, segment in frame.iter_rows()}


def test_the_first_value_that_is_told_stays(lake, connection, ingest, rolled):
    ingest.tell(identify("ada", plan="free"), identify("bo", plan="pro"), track("cy"), at=AT)
    rolled()
    assert plans(lake, connection) == {"ada": "free", "bo": "pro"}
    ingest.tell(identify("ada", plan="team"), at=AT + timedelta(days=4))
    ingest.tell(identify("bo", country="NO"), at=AT + timedelta(days=4))
    rolled(NOW + timedelta(days=2))
    ingest.tell(identify("cy", plan="pro"), identify("ada", plan=None), at=NOW + timedelta(days=2))
    rolled(NOW + timedelta(days=3))
    assert plans(lake, connection) == {"ada": "free", "bo": "pro", "cy": "pro"}


def test_a_property_that_is_asked_for_later_is_read_from_the_first_event_on(
    lake, connection, ingest, rolled
):
    ingest.tell(identify("ada", plan="free", country="NO"), at=AT)
    rolled()
    rolled(NOW + timedelta(days=9), segments=("plan", "country"))
    assert plans(lake, connection, "country") == {"ada": "NO"}


def test_nothing_but_what_was_asked_for_is_kept_of_a_user(connection, ingest, rolled):
    ingest.tell(identify("ada", plan="free", diagnosis="private"), at=AT)
    rolled()
    kept = connection.execute("select segment_by, segment from activity.told_segments").fetchall()
    assert kept == [("plan", "free")]


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("pro", "pro"),
        ("  pro ", "pro"),
        (3, "3"),
        (True, "true"),
        ("x" * 100, "x" * 100),
        ("x" * 101, None),
        ("", None),
        (" \t", None),
        ({"name": "pro"}, None),
        (["pro"], None),
        (None, None),
        ("'; drop table users; --", "'; drop table users; --"),
    ],
)
def test_what_is_no_short_text_number_or_truth_is_no_segment(
    told, kept, lake, connection, ingest, rolled
):
    ingest.tell(identify("ada", plan=told), at=AT)
    rolled()
    assert plans(lake, connection).get("ada") == kept


def test_values_beyond_the_largest_fifty_are_one(lake, connection, ingest, rolled):
    calls = [identify(f"u{n}", plan=f"plan {n:03}") for n in range(MOST_SEGMENTS + 7)]
    calls += [identify(f"v{n}", plan="zz") for n in range(2)]
    ingest.tell(*calls, at=AT)
    rolled()
    told = plans(lake, connection)
    assert told["v0"] == told["v1"] == "zz"
    assert sum(plan == OTHER_SEGMENTS for plan in told.values()) == 8
    assert len(set(told.values())) == MOST_SEGMENTS + 1


def test_a_deleted_user_of_an_adopted_table_keeps_the_segment(
    store, lake, connection, rolled, engine
):
    connection.execute(
        'create table people (id bigint, created_at timestamptz, "Plan-x" text, tier int)'
    )
    connection.execute(
        "insert into people values (1, '2026-03-01', 'pro', 4), (2, '2026-03-01', null, 5)"
    )
    relation = store.relation("people")
    store.execute([segments_view(relation, "id", ["Plan-x", "tier"])])
    store.execute(
        [
            "create or replace view activity.source_users as select id::text as user_id, "
            "created_at as signed_up_at, null::text as email from people"
        ]
    )
    rolled(segments=("Plan-x", "tier"))
    assert plans(lake, connection, "Plan-x") == {"1": "pro"}
    assert plans(lake, connection, "tier") == {"1": "4", "2": "5"}
    connection.execute("delete from people where id = 1")
    connection.execute("update people set tier = null")
    rolled(NOW + timedelta(days=1), segments=("Plan-x", "tier"))
    assert plans(lake, connection, "Plan-x") == {None: "pro"}
    assert plans(lake, connection, "tier") == {None: "4", "2": "5"}


def test_a_column_that_cannot_name_a_property_is_refused(store, connection):
    connection.execute('create table people (id bigint, "my plan" text)')
    with pytest.raises(UsageError, match="'my plan' cannot name a property"):
        segments_view(store.relation("people"), "id", ["my plan"])


def test_a_second_rollup_without_news_changes_nothing(lake, ingest, rolled):
    ingest.tell(identify("ada", plan="pro"), at=AT)
    rolled()
    before = lake.read_manifest(SEGMENTS, {"segment_by": "plan"})
    rolled(NOW + timedelta(days=1))
    assert lake.read_manifest(SEGMENTS, {"segment_by": "plan"}) == before
