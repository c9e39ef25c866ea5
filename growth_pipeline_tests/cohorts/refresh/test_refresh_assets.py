"""Cohorts as Dagster sees them: a range in one run, checks that catch, a page with pictures."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import polars as pl
import psycopg
import pytest

from growth_pipeline.cohorts.assets import report, retention_cells
from growth_pipeline.cohorts.checks import check_postgres, check_refresh
from growth_pipeline.cohorts.cohort_store import CohortStore
from growth_pipeline.cohorts.money.money_store import MoneyStore
from growth_pipeline.cohorts.refresh.facts import ACTIVITY, USERS
from growth_pipeline.cohorts.refresh.published import CELLS
from growth_pipeline.cohorts.refresh.run import Wanted, answers_of, refresh
from growth_pipeline.storage.engine import Engine
from growth_pipeline.storage.lake import Lake

EPOCH = date(1970, 1, 1)
START = date(2026, 1, 5)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
RANGE = {
    "dagster/asset_partition_range_start": "2026-01-05",
    "dagster/asset_partition_range_end": "2026-01-18",
}


@pytest.fixture
def lake(tmp_path):
    """Thirty users on the first day, who all come back on each of two weeks' days."""
    lake = Lake(str(tmp_path / "lake"))
    first = (START - EPOCH).days
    users = [(number, first) for number in range(30)]
    schema = {"user_number": pl.Int32, "entry_day": pl.Int32}
    frame = pl.DataFrame(users, schema=schema, orient="row")
    lake.write_partition(USERS, {"part": "all"}, [frame], {})
    for step in range(14):
        day = START + timedelta(days=step)
        rows = [(number, first + step, 1) for number in range(30)]
        schema = {"user_number": pl.Int32, "day": pl.Int32, "events": pl.Int64}
        frame = pl.DataFrame(rows, schema=schema, orient="row")
        lake.write_partition(ACTIVITY, {"day": day.isoformat()}, [frame], {})
    return lake


@pytest.fixture
def engine(tmp_path):
    return Engine("256MiB", 1, tmp_path / "engine")


def _materialize(lake, engine, database, instance, **how):
    return dg.materialize(
        [retention_cells, report],
        instance=instance,
        resources={
            "lake": lake,
            "queries": engine,
            "cohort_store": CohortStore(database),
            "money_store": MoneyStore(database, []),
            "cohort_entry": "signup",
            "cohort_segments": [],
            "cohort_week_start": "monday",
            "clock": lambda: NOW,
        },
        **how,
    )


def _told(result):
    materialized = result.asset_materializations_for_node("cohorts__retention_cells")
    return {name: value.value for name, value in materialized[-1].metadata.items()}


def test_after_a_backfill_in_one_run_the_run_of_each_day_reads_that_day(lake, engine, database):
    for one in (retention_cells, report):
        assert one.backfill_policy == dg.BackfillPolicy.single_run()
    early = Lake(f"{lake.url}-early")
    for manifest in (*lake.manifests(USERS), *lake.manifests(ACTIVITY)[:12]):
        early.write_partition(manifest.dataset, manifest.partition, [lake.read(manifest)], {})
    with dg.DagsterInstance.ephemeral() as instance:
        first = _materialize(early, engine, database, instance, tags=RANGE)
        assert (_told(first)["day_days_read"], _told(first)["week_days_read"]) == (12, 7)
        seen = []
        for manifest in lake.manifests(ACTIVITY)[12:]:  # a Saturday, and the Sunday of a week's end
            early.write_partition(manifest.dataset, manifest.partition, [lake.read(manifest)], {})
            day = manifest.partition["day"]
            told = _told(_materialize(early, engine, database, instance, partition_key=day))
            seen.append((day, told["day_days_read"], told["week_days_read"]))
        assert seen == [("2026-01-17", 1, 0), ("2026-01-18", 1, 7)]
        done = instance.get_materialized_partitions(retention_cells.key)
    assert len(done) == 14
    again = refresh(lake, engine, Wanted(), now=NOW)
    assert [CohortStore(database).read(made.definition).rows() for made in again] == [
        made.published.frame.rows() for made in again
    ]


def test_a_range_of_days_is_one_run_with_report_and_passing_checks(lake, engine, database):
    with dg.DagsterInstance.ephemeral() as instance:
        result = _materialize(lake, engine, database, instance, tags=RANGE)
    checks = {one.check_name: one.passed for one in result.get_asset_check_evaluations()}
    assert checks == {
        "rows_are_unique_and_whole": True,
        "sizes_add_up_to_users": True,
        "no_cohort_shrinks": True,
        "money_adds_up": True,
        "segments_add_up": True,
        "postgres_has_the_lakes_cells": True,
        "files_are_whole": True,
    }
    made = result.asset_materializations_for_node("cohorts__report")[-1].metadata
    assert "data:image/png;base64," in made["report"].value
    assert set(made["artifacts"].value) == {"md", "html", "json"}
    assert "100.0 % (30 of 30 people, 1 cohort)" in made["report"].value
    published = result.asset_materializations_for_node("cohorts__retention_cells")[-1].metadata
    assert published["cells_written"].value == 31 + 13 + 13
    assert CohortStore(database).read(_days()).height == 31


def _days():
    return Wanted().definition("day", (START - EPOCH).days + 13, "UTC")


def _checks(done):
    return {one.check_name: one.passed for one in check_refresh(done)}


def test_a_doubled_row_and_a_wrong_size_are_caught(lake, engine):
    done = refresh(lake, engine, Wanted(grains=("week",)), now=NOW)
    manifest = lake.read_manifest(CELLS, {"grain": "week"})
    broken = lake.read(manifest).with_columns(cohort_size=pl.lit(31, pl.Int64))
    broken = pl.concat([broken, broken.head(1)])
    lake.write_partition(CELLS, {"grain": "week"}, [broken], manifest.certificate)
    again = refresh(lake, engine, Wanted(grains=("week",)), now=NOW)
    assert _checks(done) == dict.fromkeys(_checks(done), True)
    assert _checks(again) == {
        "rows_are_unique_and_whole": False,
        "sizes_add_up_to_users": False,
        "no_cohort_shrinks": True,
        "money_adds_up": True,
        "segments_add_up": True,
    }


def _refuted(store, done):
    return check_postgres(answers_of(done), store).description


def test_a_row_that_differs_in_postgres_is_caught(lake, engine, database, database_url):
    store = CohortStore(database)
    done = refresh(lake, engine, Wanted(grains=("week",)), now=NOW)
    store.publish(answers_of(done), now=NOW)
    assert check_postgres(answers_of(done), store).passed
    with psycopg.connect(database_url) as connection:
        connection.execute("update cohorts.retention_metrics set events = 1 where period_index = 0")
    assert _refuted(store, done).startswith("week: hash in Postgres ")
    with psycopg.connect(database_url) as connection:
        connection.execute("update cohorts.retention_metrics set users = 29 where period_index = 0")
    assert "week: users in Postgres 59, in the lake 60" in _refuted(store, done)
    with psycopg.connect(database_url) as connection:
        connection.execute("delete from cohorts.retention_metrics where period_index = 12")
    assert "week: cells in Postgres 12, in the lake 13" in _refuted(store, done)


def test_a_cohort_that_loses_a_member_is_a_warning(lake, engine):
    refresh(lake, engine, Wanted(grains=("month",)), now=NOW)
    manifest = lake.read_manifest(USERS, {"part": "all"})
    lake.write_partition(USERS, {"part": "all"}, [lake.read(manifest).head(29)], {})
    checked = {
        one.check_name: one
        for one in check_refresh(refresh(lake, engine, Wanted(grains=("month",)), now=NOW))
    }
    told = checked["no_cohort_shrinks"]
    assert (told.passed, told.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert told.description == "month: cohort 2026-01-01 lost members"
