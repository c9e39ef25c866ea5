"""What the checks of activity catch: each rule is broken once."""

from __future__ import annotations

from datetime import date

import dagster as dg
import polars as pl
import pytest

from growth_pipeline.events.activity.judge import KNOWN, ROWS, SUMS, judge_rolled
from growth_pipeline.events.activity.rollup import ACTIVITY, Rolled
from growth_pipeline.events.checks import check_activity

DAY = date(2026, 3, 1)
NUMBER = (DAY - date(1970, 1, 1)).days
GOOD = [(1, NUMBER, 2), (2, NUMBER, 1)]


def rolled(**other):
    return Rolled(
        **{
            "days": 1,
            "changed": (DAY,),
            "dropped": {"unknown_user": 1, "excluded": 0},
            "users": 2,
            "events": 4,
            "kept": 3,
            **other,
        }
    )


def write(lake, rows):
    schema = {"user_number": pl.Int32, "day": pl.Int32, "events": pl.Int64}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    lake.write_partition(ACTIVITY, {"day": DAY.isoformat()}, [frame], {})


def judged(lake, engine, made):
    return judge_rolled(made, lake, engine, dataset=ACTIVITY)


def test_a_good_day_passes_all_rules(lake, engine):
    write(lake, GOOD)
    assert judged(lake, engine, rolled()) == {ROWS: [], SUMS: [], KNOWN: []}


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ([*GOOD, (1, NUMBER, 1)], "rows of users there twice"),
        ([*GOOD, (3, NUMBER + 1, 1)], "other days"),
        ([*GOOD, (3, NUMBER, 0)], "rows without events"),
    ],
)
def test_a_row_that_cannot_be_is_found(lake, engine, rows, fault):
    write(lake, rows)
    assert judged(lake, engine, rolled())[ROWS] == [f"2026-03-01: 1 {fault}"]


def test_a_day_whose_file_is_gone_is_found(lake, engine):
    assert judged(lake, engine, rolled())[ROWS] == ["2026-03-01: no file"]


def test_an_event_that_is_lost_on_the_way_is_found(lake, engine):
    write(lake, GOOD)
    assert judged(lake, engine, rolled(events=5))[SUMS] == [
        "1 events were neither counted nor dropped"
    ]


def test_that_nobody_counts_is_a_warning(lake, engine):
    write(lake, [])
    found = judged(lake, engine, rolled(kept=0, events=1))
    results = {one.check_name: one for one in check_activity(found)}
    assert {name: one.passed for name, one in results.items()} == {
        ROWS: True,
        SUMS: True,
        KNOWN: False,
    }
    assert results[KNOWN].severity is dg.AssetCheckSeverity.WARN
