"""Active users as Dagster and Postgres see them: rows, checks that catch, a page with pictures."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import psycopg
import pytest

from growth_pipeline.cohorts.active_users.published.publish import (
    QUESTIONS,
    judge_store,
    told_of,
)
from growth_pipeline.cohorts.active_users.published.refresh import refresh_active_users
from growth_pipeline.cohorts.active_users.published.rows import ACTIVE_COLUMNS, LIFECYCLE_COLUMNS
from growth_pipeline.cohorts.activity_store import PublishedActivity
from growth_pipeline.cohorts.assets import active_users
from growth_pipeline.storage.engine import Engine
from growth_pipeline.storage.lake import Lake
from growth_pipeline_tests.cohorts.plain_facts import write_day, write_users

START = date(2026, 1, 5)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
RANGE = {
    "dagster/asset_partition_range_start": "2026-01-05",
    "dagster/asset_partition_range_end": "2026-02-13",
}


@pytest.fixture
def lake(tmp_path):
    """Four users, of whom one more each day is active, over and over, for forty days."""
    lake = Lake(str(tmp_path / "lake"))
    write_users(lake, dict.fromkeys(range(1, 5), START))
    for step in range(40):
        active = range(1, step % 4 + 2)
        write_day(lake, START + timedelta(days=step), dict.fromkeys(active, 1))
    return lake


@pytest.fixture
def engine(tmp_path):
    return Engine("256MiB", 1, tmp_path / "engine")


@pytest.fixture
def store(database):
    return PublishedActivity(database)


def publish(lake, engine, store, **wanted):
    told = told_of(refresh_active_users(lake, engine, now=NOW, **wanted))
    answers = [answer for one in told for answer in one.answers()]
    return answers, store.publish(answers, kinds=QUESTIONS, now=NOW)


def test_a_range_of_days_is_one_run_with_passing_checks_and_pictures(lake, engine, store):
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [active_users],
            instance=instance,
            tags=RANGE,
            resources={
                "lake": lake,
                "queries": engine,
                "published_activity": store,
                "cohort_week_start": "monday",
                "cohort_segments": [],
                "clock": lambda: NOW,
            },
        )
    checks = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
    assert checks == dict.fromkeys(
        (
            "rows_are_unique_and_whole",
            "windows_hold_each_other",
            "lifecycle_adds_up",
            "stickiness_is_of_its_days",
            "segments_add_up",
            "postgres_has_the_rows",
        ),
        True,
    )
    made = result.asset_materializations_for_node("cohorts__active_users")[-1].metadata
    assert made["days_read"].value == 40
    summary = made["summary"].value
    assert "On 2026-02-13: DAU 4, WAU 4, MAU 4, stickiness over 30 days 64.2 %." in summary
    # 77 user-days in 30 days of 4 users; 66 in January's 31 days, whose first four are empty.
    assert "| 2026-01 | 4 | 2.1 | 53.2 % |" in summary
    assert "data:image/png;base64," in summary


def test_rows_in_postgres_are_what_was_counted_and_publishing_again_writes_none(
    lake, engine, store
):
    answers, first = publish(lake, engine, store)
    assert first.written == sum(len(answer.rows) for answer in answers) == 40 * 4 + 6 + 2 * 2 + 48
    assert judge_store(answers, store) == []
    _, again = publish(lake, engine, store)
    assert (again.written, again.withdrawn) == (0, 0)
    (asked,) = store.questions("active_users")
    assert asked.as_of == datetime(2026, 2, 14, tzinfo=UTC)
    assert asked.options["windows"] == [1, 7, 30]
    rows = store.rows("lifecycle", LIFECYCLE_COLUMNS)
    january = next(row for row in rows if row["grain"] == "month")
    assert (january["active_users"], january["new_users"], january["state"]) == (4, 4, "closed")


def test_a_row_that_somebody_changed_is_caught_and_mended(lake, engine, store, database_url):
    answers, _ = publish(lake, engine, store)
    with psycopg.connect(database_url) as connection:
        connection.execute("update cohorts.active_users set users = 0 where metric = 'dau'")
    assert judge_store(answers, store) == ["active_users: 80 rows differ"]
    _, again = publish(lake, engine, store)
    assert again.written == 40
    assert judge_store(answers, store) == []


def test_a_property_that_is_no_longer_wanted_is_withdrawn(lake, engine, store):
    import polars as pl

    frame = pl.DataFrame(
        {"user_number": [1], "segment": ["pro"]}, schema_overrides={"user_number": pl.Int32}
    )
    lake.write_partition("user_segments", {"segment_by": "plan"}, [frame], {})
    answers, _ = publish(lake, engine, store, segments=["plan"])
    assert {answer.segment_by for answer in answers} == {"", "plan"}
    assert judge_store(answers, store) == []
    split = store.rows("active_users", ACTIVE_COLUMNS, segment_by="plan")
    assert {row["segment"] for row in split} == {"pro", None}
    _, after = publish(lake, engine, store)
    assert after.withdrawn == len(split) + len(answers[-1].rows)
    assert store.rows("active_users", ACTIVE_COLUMNS, segment_by="plan") == []
    assert [one.segment_by for one in store.questions("lifecycle")] == [""]
