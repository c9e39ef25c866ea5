"""The cohort report: what a reader is told, and what is kept from them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest

from growth_pipeline.cohorts.definition import RetentionDefinition
from growth_pipeline.cohorts.refresh.published import Restatement
from growth_pipeline.cohorts.report.charts import addresses, drawings, heatmap_of
from growth_pipeline.cohorts.report.page import to_html, to_markdown
from growth_pipeline.cohorts.retention.measure import RetentionFacts, measure_retention
from growth_pipeline.storage.engine import Engine

AS_OF = datetime(2031, 1, 23, tzinfo=UTC)  # a Thursday
EPOCH = date(1970, 1, 1)


def _day(day):
    return (date(2031, 1, day) - EPOCH).days


@pytest.fixture
def answer(tmp_path):
    """Cohorts of 40, 12 and 3 in the weeks of 6, 13 and 20 January; 9 of 40 come back in W1."""
    entries = [6] * 40 + [13] * 12 + [20] * 3
    users = [(number, _day(day), None) for number, day in enumerate(entries)]
    active = [(number, _day(14), 1) for number in range(9)]
    facts = RetentionFacts(
        pl.DataFrame(
            users,
            schema={"user_number": pl.Int32, "entry_day": pl.Int32, "segment": pl.String},
            orient="row",
        ),
        pl.DataFrame(
            active,
            schema={"user_number": pl.Int32, "day": pl.Int32, "events": pl.Int64},
            orient="row",
        ),
    )
    definition = RetentionDefinition(as_of=AS_OF, grain="week", max_period=3)
    return measure_retention(Engine("256MiB", 1, tmp_path), facts, definition)


def test_the_answer_comes_first_with_people_cohorts_and_interval(answer):
    said = to_markdown([answer])
    assert "22.5 % (9 of 40 people, 1 cohort)" in said
    assert "12.3 % to 37.5 %" in said  # the contract's own example of the Wilson interval
    assert said.index("Week 1") < said.index("Cohorts by week")


def test_cells_in_progress_are_marked_and_those_not_begun_are_empty(answer):
    rows = [
        [part.strip() for part in line.strip("|").split("|")]
        for line in to_markdown([answer]).splitlines()
        if line.startswith("| 2031-01-")
    ]
    told = {row[0]: [part.replace("\\", "") for part in row[1:]] for row in rows}
    assert told["2031-01-06"] == ["40", "0.0 %", "22.5 %", "*", ""]
    assert told["2031-01-13"] == ["12", "0 of 12", "*", "", ""]
    assert told["2031-01-20"] == ["under 5", "*", "", "", ""]


def test_the_heatmap_draws_no_share_where_none_is_known(answer):
    drawn = heatmap_of(answer)["data"]["values"]
    unknown = [one for one in drawn if one["label"] in ("", "*")]
    assert unknown
    assert all(one["share"] is None for one in unknown)


def test_a_change_of_a_closed_cell_is_told_with_both_values(answer):
    change = Restatement(
        through=date(2031, 1, 22),
        cohort_start=date(2031, 1, 6),
        period_index=1,
        size_before=40,
        size_now=40,
        users_before=8,
        users_now=9,
        rate_before=Decimal("0.2"),
        rate_now=Decimal("0.225"),
    )
    said = to_markdown([answer], restatements=[("week", change)])
    assert "8 of 40" in said
    assert "9 of 40" in said
    assert "No cell that was closed has changed" not in said


def test_both_faces_carry_a_picture_that_loads_nothing(answer):
    said = to_markdown([answer], pictures=addresses([answer]))
    assert "data:image/png;base64," in said
    page = to_html([answer], pictures=drawings([answer]))
    assert "data:image/svg+xml;base64," in page
    assert "<script" not in page
    assert "22.5 %" in page


def test_a_cohort_of_fewer_than_five_has_neither_size_nor_colour(answer):
    small = [replace(cell, cohort_size=4) for cell in answer.cells]
    drawn = heatmap_of(replace(answer, cells=small))["data"]["values"]
    assert {one["share"] for one in drawn} == {None}
    assert {one["label"] for one in drawn} <= {"few", "*", ""}
    assert {one["cohort"].split(" ", 1)[1] for one in drawn} == {"(under 5)"}


def test_many_cohorts_still_make_a_picture_that_fits_an_event(answer):
    first = answer.cells[0]
    many = [
        replace(first, cohort_start=date(2030, 1, 1) + timedelta(days=day), period_index=index)
        for day in range(60)
        for index in range(31)
    ]
    (drawn,) = addresses([replace(answer, cells=many)])
    assert len(drawn.picture.address) < 140_000  # 100,000 bytes in base 64


def test_a_report_without_cohorts_says_so(tmp_path, answer):
    empty = type(answer)(answer.definition, answer.as_of, [], [], {}, ())
    assert "Cohorts by week" in to_html([empty], pictures=drawings([empty]))
