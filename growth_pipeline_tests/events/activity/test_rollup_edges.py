"""Rollups at their edges: quiet days, zones side by side, instants before the calendar, old files."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from growth_pipeline.core.errors import UsageError
from growth_pipeline.events.activity.activity_store import ActivityStore
from growth_pipeline.events.activity.adopt import events_view, read_source, users_view
from growth_pipeline.events.activity.rollup import (
    ACTIVITY,
    USERS,
    QualifyingSet,
    roll_up_news,
)
from growth_pipeline.storage.sql import load_sql

NOON = datetime(2026, 3, 21, 12, tzinfo=UTC)


@pytest.fixture
def company(database_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "create schema app;"
            "create table app.users (id bigint, made timestamptz);"
            "create table app.acts (who bigint, at timestamptz, stored timestamptz);"
            "insert into app.users values (1, '2026-03-01Z')"
        )
        yield connection


@pytest.fixture
def store(database, company):
    made = ActivityStore(database)
    acts = read_source("app.acts?user=who&at=at&received=stored")
    made.execute(
        [
            users_view(made.relation("app.users"), "id", "made", None),
            events_view([(acts, made.relation("app.acts"))]),
        ]
    )
    return made


def act(company, *instants, stored=NOON):
    for at in instants:
        company.execute("insert into app.acts values (1, %s, %s)", [at, stored])


def days_of(lake, dataset=ACTIVITY):
    """Day -> rows and the instant up to which it was read."""
    return {
        date.fromisoformat(one.partition["day"]): (
            one.row_count,
            datetime.fromisoformat(one.certificate["as_of"]),
        )
        for one in lake.manifests(dataset)
    }


def test_a_day_on_which_nothing_more_happens_is_over_at_the_next_rollup(
    store, company, lake, engine
):
    act(company, NOON - timedelta(days=40), NOON)
    first, second = NOON + timedelta(hours=3), NOON + timedelta(days=2)
    roll_up_news(store, lake, engine, as_of=first, now=first)
    roll_up_news(store, lake, engine, as_of=second, now=second)
    assert days_of(lake) == {date(2026, 2, 9): (1, first), date(2026, 3, 21): (1, second)}


def test_a_named_set_in_another_zone_moves_no_sign_up(store, company, lake, engine):
    act(company, NOON)
    now = NOON + timedelta(days=1)
    away = QualifyingSet("away", tz="Pacific/Honolulu")
    roll_up_news(store, lake, engine, as_of=now, now=now)
    (before,) = lake.manifests(USERS)
    roll_up_news(store, lake, engine, as_of=now, now=now, qualifying=away)
    assert lake.manifests(USERS) == [before]
    (named,) = lake.manifests(f"{USERS}_away")
    assert named.certificate == {"tz": "Pacific/Honolulu"}
    assert lake.read(named)["entry_day"].to_list() == [(date(2026, 2, 28) - date(1970, 1, 1)).days]


def test_after_another_zone_in_the_settings_all_days_can_be_made_again(
    store, company, lake, engine
):
    act(company, datetime(2026, 3, 10, 23, 30, tzinfo=UTC), datetime(2026, 3, 12, 1, tzinfo=UTC))
    how = {"as_of": NOON, "now": NOON}
    roll_up_news(store, lake, engine, **how)
    assert {day: rows for day, (rows, _) in days_of(lake).items()} == {
        date(2026, 3, 10): 1,
        date(2026, 3, 12): 1,
    }
    tokyo = QualifyingSet(tz="Asia/Tokyo")  # 9 hours ahead
    with pytest.raises(UsageError, match="made with zone UTC") as refused:
        roll_up_news(store, lake, engine, **how, qualifying=tokyo)
    assert "growth events rollup --anew" in str(refused.value.remedy)
    roll_up_news(store, lake, engine, **how, qualifying=tokyo, anew=True)
    assert {day: rows for day, (rows, _) in days_of(lake).items()} == {
        date(2026, 3, 10): 0,
        date(2026, 3, 11): 1,
        date(2026, 3, 12): 1,
    }
    (users,) = lake.manifests(USERS)
    assert users.certificate["tz"] == "Asia/Tokyo"
    assert roll_up_news(store, lake, engine, **how, qualifying=tokyo).changed == ()


@pytest.mark.parametrize("tz", ["UTC", "America/New_York"])
@pytest.mark.parametrize("odd", ["4713-01-01 BC", "0001-01-01Z", "9999-12-31Z"])
def test_an_instant_outside_the_calendar_stops_no_rollup(store, company, lake, engine, tz, odd):
    act(company, NOON)
    now = NOON + timedelta(days=1)
    chosen = QualifyingSet(tz=tz)
    roll_up_news(store, lake, engine, as_of=now, now=now, qualifying=chosen)
    later = now + timedelta(hours=1)
    act(company, odd, stored=later)
    roll_up_news(store, lake, engine, as_of=later, now=later, qualifying=chosen)
    store.merge("1", "2", now=later)  # days of this user are looked for by another way
    again = later + timedelta(hours=1)
    roll_up_news(store, lake, engine, as_of=again, now=again, qualifying=chosen)
    assert days_of(lake)[date(2026, 3, 21)] == (0, again)


def test_of_old_versions_of_days_and_users_only_the_last_one_stays(store, company, lake, engine):
    for hour in range(4):
        now = NOON + timedelta(hours=hour, minutes=1)
        act(company, now - timedelta(seconds=1))
        company.execute("insert into app.users values (%s, '2026-03-01Z')", [hour + 10])
        roll_up_news(store, lake, engine, as_of=now, now=now)
    files = [
        path
        for dataset in (ACTIVITY, USERS)
        for path in (Path(lake.url) / dataset).rglob("*.parquet")
    ]
    assert len(files) == 8
    for path in files:
        os.utime(path, (1_000_000_000, 1_000_000_000))
    roll_up_news(store, lake, engine, as_of=now, now=now)
    assert len([path for path in files if path.exists()]) == 4
    assert days_of(lake)[NOON.date()] == (1, now)


def test_adopted_views_read_with_the_rights_of_who_asks(store, company):
    found = company.execute(
        "select relname::text, reloptions from pg_class"
        " where oid in ('activity.source_users'::regclass, 'activity.source_events'::regclass)"
    ).fetchall()
    asks = ["security_invoker=true"]
    assert dict(found) == {"source_users": asks, "source_events": asks}


@pytest.mark.parametrize("index", ["events_by_user", "imported_events_by_user"])
def test_days_of_users_who_changed_are_found_by_an_index(database_url, index):
    values = {"since": NOON, "at": None, "tz": "UTC", "as_of": NOON}
    with psycopg.connect(database_url) as connection:
        connection.execute("set enable_seqscan = off")
        plan = connection.execute(f"explain {load_sql('events/reopened_days')}", values).fetchall()
    assert any(f" {index} " in line or line.endswith(index) for (line,) in plan)
