"""Cohorts split by a property: every refresh against a plain loop, over random histories."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from growth_pipeline.cohorts.cohort_store import CohortStore
from growth_pipeline.cohorts.refresh.judge import judge_postgres, judge_segments
from growth_pipeline.cohorts.refresh.published import CellStore
from growth_pipeline.cohorts.refresh.run import Wanted, answers_of, refresh
from growth_pipeline.cohorts.report.write import read_answers
from growth_pipeline.core.errors import UsageError
from growth_pipeline.events.activity.segments import SEGMENTS
from growth_pipeline.storage.engine import Engine
from growth_pipeline.storage.lake import Lake
from growth_pipeline_tests.cohorts.plain_facts import floor_day, index_of, write_day, write_users

EPOCH = date(1970, 1, 1)
START = date(2031, 1, 20)
NOW = datetime(2031, 6, 1, tzinfo=UTC)
PLANS = ("free", "pro", "team <b>|x", None)


@pytest.fixture
def engine(tmp_path):
    return Engine("256MiB", 2, tmp_path / "engine")


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path / "lake"))


class Company:
    """Users with a day of entry and a plan, and their activity, as the rollup writes them."""

    def __init__(self, lake):
        self.lake = lake
        self.entered, self.plans, self.days = {}, {}, {}

    def write(self, *days):
        write_users(self.lake, self.entered)
        rows = [(number, plan) for number, plan in self.plans.items() if plan is not None]
        schema = {"user_number": pl.Int32, "segment": pl.String}
        frame = pl.DataFrame(rows, schema=schema, orient="row")
        self.lake.write_partition(SEGMENTS, {"segment_by": "plan"}, [frame], {})
        for day in days:
            write_day(self.lake, day, self.days[day])

    def by_hand(self, grain, through, last):
        """(cohort, plan, index) -> (size, users, events), the last two None while not closed."""
        members = defaultdict(set)
        for number, day in self.entered.items():
            if day <= through:
                members[floor_day(day, grain), self.plans[number]].add(number)
        cells = {}
        for (cohort, plan), numbers in members.items():
            came, events = defaultdict(set), defaultdict(int)
            for day, active in self.days.items():
                for number in numbers & active.keys() if day <= through else ():
                    came[index_of(cohort, day, grain)].add(number)
                    events[index_of(cohort, day, grain)] += active[number]
            end = index_of(cohort, through + timedelta(days=1), grain)
            for index in range(last + 1):
                told = (len(came[index]), events[index]) if index < end else (None, None)
                cells[cohort, plan, index] = (len(numbers), *told)
        return cells


def published(lake, grain):
    frame = CellStore(lake, segment_by="plan").read(grain).frame
    return {
        (row["cohort_start"], row["segment"], row["period_index"]): (
            row["cohort_size"],
            row["users"],
            row["events"],
        )
        for row in frame.iter_rows(named=True)
    }


def live(company, chance, step):
    """One day: some sign up, some change their plan, some are told to have come late."""
    today = START + timedelta(days=step)
    for _ in range(chance.randint(0, 3)):
        number = len(company.entered) + 1
        company.entered[number] = today
        company.plans[number] = chance.choice(PLANS)
    if company.entered and chance.random() < 0.3:
        company.plans[chance.choice(list(company.entered))] = chance.choice(PLANS)
    company.days[today] = {
        number: chance.randint(1, 4) for number in company.entered if chance.random() < 0.4
    }
    changed = [today]
    if chance.random() < 0.2:
        late = chance.choice(list(company.days))
        company.days[late] = {number: 1 for number in company.entered if chance.random() < 0.3}
        changed.append(late)
    company.write(*changed)
    return today


def test_each_refresh_is_what_a_plain_loop_counts_for_every_segment(lake, engine, tmp_path, seed):
    chance = random.Random(seed)
    company = Company(lake)
    company.entered[1], company.plans[1] = START, "free"
    for step in range(45):
        today = live(company, chance, step)
        if step % 11 == 0 or chance.random() < 0.08:
            done = refresh(lake, engine, Wanted(), segments=["plan"], now=NOW)
            for grain, last in (("day", 30), ("week", 12), ("month", 12)):
                assert published(lake, grain) == company.by_hand(grain, today, last)
            whole, split = done[:3], done[3:]
            assert [judge_segments(*pair) for pair in zip(split, whole, strict=True)] == [[]] * 3
    anew = Company(Lake(str(tmp_path / "anew")))
    anew.entered, anew.plans, anew.days = company.entered, company.plans, company.days
    anew.write(*company.days)
    at_once = refresh(anew.lake, engine, Wanted(), segments=["plan"], now=NOW)
    last = refresh(lake, engine, Wanted(), segments=["plan"], now=NOW)
    for one, other in zip(last, at_once, strict=True):
        assert one.answer() == other.answer()
    assert (
        sum(made.changed for made in refresh(lake, engine, Wanted(), segments=["plan"], now=NOW))
        == 0
    )


@pytest.fixture
def company(lake):
    """Ada and Bo on pro, Cy without plan; all sign up on one day, Ada comes back the next."""
    made = Company(lake)
    made.entered = {1: START, 2: START, 3: START}
    made.plans = {1: "pro", 2: "pro", 3: None}
    made.days = {START: {1: 1, 3: 2}, START + timedelta(days=1): {1: 5}}
    made.write(*made.days)
    return made


def test_who_has_no_value_is_a_segment_of_its_own(company, lake, engine):
    refresh(lake, engine, Wanted(grains=("day",)), segments=["plan"], now=NOW)
    cells = published(lake, "day")
    assert cells[START, "pro", 0] == (2, 1, 1)
    assert cells[START, "pro", 1] == (2, 1, 5)
    assert cells[START, None, 0] == (1, 1, 2)
    assert cells[START, None, 1] == (1, 0, 0)
    assert cells[START, None, 2] == (1, None, None)


def test_a_user_whose_value_is_known_later_takes_the_history_along_and_nothing_is_restated(
    company, lake, engine
):
    refresh(lake, engine, Wanted(grains=("day",)), segments=["plan"], now=NOW)
    company.plans[1] = "free"
    company.write()
    whole, split = refresh(lake, engine, Wanted(grains=("day",)), segments=["plan"], now=NOW)
    assert (whole.changed, whole.restatements, split.restatements, split.shrunk) == (0, [], [], [])
    cells = published(lake, "day")
    assert cells[START, "free", 1] == (1, 1, 5)
    assert cells[START, "pro", 1] == (1, 0, 0)
    company.plans[1] = company.plans[2] = None  # and the segments are gone
    company.write()
    refresh(lake, engine, Wanted(grains=("day",)), segments=["plan"], now=NOW)
    assert {segment for _, segment, _ in published(lake, "day")} == {None}


def test_segments_that_do_not_add_up_are_caught(company, lake, engine):
    whole, split = refresh(lake, engine, Wanted(grains=("day",)), segments=["plan"], now=NOW)
    less = split.published.frame.with_columns(
        users=pl.when(pl.col("segment") == "pro").then(0).otherwise(pl.col("users"))
    )
    odd = replace(split, published=replace(split.published, frame=less))
    assert judge_segments(odd, whole) == ["day by plan: 2 periods do not add up"]
    fewer = split.published.frame.filter(pl.col("segment").is_null())
    odd = replace(split, published=replace(split.published, frame=fewer))
    assert judge_segments(odd, whole) == ["day by plan: 31 periods do not add up"]


def test_a_property_the_rollup_has_not_read_is_refused_with_what_to_do(company, lake, engine):
    with pytest.raises(UsageError, match="not known by 'country'") as refused:
        refresh(lake, engine, Wanted(), segments=["country"], now=NOW)
    assert "growth events rollup" in str(refused.value.remedy)
    assert CellStore(lake).read("day") is None


def test_postgres_and_the_report_have_each_segment(company, lake, engine, database):
    store = CohortStore(database)
    done = refresh(lake, engine, Wanted(), segments=["plan"], now=NOW)
    answers = answers_of(done)
    publication = store.publish(answers, now=NOW)
    assert publication.written["signup", "day", "plan"] == 2 * 31
    assert [
        judge_postgres(one.definition.grain, one.cells, store.read(one.definition))
        for one in answers
    ] == [[]] * 6
    company.plans[3] = "free"
    company.write()
    again = answers_of(refresh(lake, engine, Wanted(), segments=["plan"], now=NOW))
    store.publish(again, now=NOW)
    with database.connection() as connection:
        rows = connection.execute(
            "select segment, cohort_size, latest_users from cohorts.cohort_overview "
            "where grain = 'day' and segment_by = 'plan' order by segment"
        ).fetchall()
    assert rows == [("free", 1, 0), ("pro", 2, 1)]
    store.publish(answers_of(refresh(lake, engine, Wanted(), segments=[], now=NOW)), now=NOW)
    with database.connection() as connection:  # the property is not asked for any more
        rows = connection.execute(
            "select distinct segment_by from cohorts.retention_metrics"
        ).fetchall()
    assert rows == [("",)]
    told = read_answers(lake, segments=["plan"])
    assert [split.people for split in told.segments] == [{"free": 1, "pro": 2}] * 3
    page = told.face("md").decode()
    assert "By plan, cohorts by day" in page


def test_the_name_of_a_segment_is_shown_as_text(company, lake, engine):
    company.plans[1] = company.plans[2] = "<img src=x>|`[a](http://x)"
    company.write()
    refresh(lake, engine, Wanted(grains=("day",)), segments=["plan"], now=NOW)
    told = read_answers(lake, grains=["day"], segments=["plan"])
    html = told.face("html").decode()
    assert "<img src=x>" not in html
    assert "&lt;img src=x&gt;|`[a](http://x)" in html
    (row,) = [line for line in told.face("md").decode().splitlines() if "<img" in line]
    assert row.startswith("| `<img src=x>¦'[a](http://x)` |")  # code: neither tag nor link
