"""Incremental refresh against a full rebuild and against a plain loop, over random histories."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from growth_pipeline.cohorts.refresh.facts import ACTIVITY
from growth_pipeline.cohorts.refresh.published import CELLS, CellStore
from growth_pipeline.cohorts.refresh.run import Wanted, refresh
from growth_pipeline.core.errors import GrowthError, UsageError
from growth_pipeline.storage.engine import Engine
from growth_pipeline.storage.lake import Lake, LakeWriteError
from growth_pipeline_tests.cohorts.plain_facts import floor_day, index_of, write_day, write_users

EPOCH = date(1970, 1, 1)
START = date(2031, 1, 20)
NOW = datetime(2031, 6, 1, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path):
    return Engine("256MiB", 2, tmp_path / "engine")


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path / "lake"))


def _by_hand(entries, days, grain, through, last):
    """(cohort, index) -> (size, users or None) by a plain loop over the contract's words."""
    members = defaultdict(set)
    for number, day in entries.items():
        if day <= through:
            members[floor_day(day, grain)].add(number)
    cells = {}
    for cohort, numbers in members.items():
        came = defaultdict(set)
        for day, active in days.items():
            if day <= through:
                came[index_of(cohort, day, grain)] |= numbers & active.keys()
        end_index = index_of(cohort, through + timedelta(days=1), grain)
        for index in range(last + 1):
            closed = index < end_index
            cells[cohort, index] = (len(numbers), len(came[index]) if closed else None)
    return cells


def _published(lake, grain):
    return {
        (row["cohort_start"], row["period_index"]): (row["cohort_size"], row["users"])
        for row in CellStore(lake).read(grain).frame.iter_rows(named=True)
    }


def _random_day(chance, numbers):
    return {n: chance.randint(1, 5) for n in numbers if chance.random() < 0.3}


def _happen_late(chance, lake, entries, days):
    """One time in five, a day that is over is told anew."""
    if chance.random() < 0.2:
        late = chance.choice(list(days))
        days[late] = _random_day(chance, entries)
        write_day(lake, late, days[late])


def _compare(lake, entries, days, today):
    for grain, last in (("day", 30), ("week", 12), ("month", 12)):
        assert _published(lake, grain) == _by_hand(entries, days, grain, today, last)


def test_refreshes_over_a_random_history_are_what_a_plain_loop_counts(lake, engine, tmp_path, seed):
    chance = random.Random(seed)
    entries, days = {}, {}
    for step in range(40):
        today = START + timedelta(days=step)
        for _ in range(chance.randint(0, 3)):
            entries[len(entries) + 1] = today
        if entries and chance.random() < 0.1:  # somebody's sign-up is corrected
            entries[chance.choice(list(entries))] = today - timedelta(days=chance.randint(0, step))
        days[today] = _random_day(chance, entries)
        _happen_late(chance, lake, entries, days)
        write_day(lake, today, days[today])
        write_users(lake, entries)
        if step % 13 == 0 or chance.random() < 0.06:
            refresh(lake, engine, Wanted(), now=NOW)
            _compare(lake, entries, days, today)
    (day, week, month) = refresh(lake, engine, Wanted(), now=NOW)
    anew = Lake(str(tmp_path / "anew"))
    for day_, active in days.items():
        write_day(anew, day_, active)
    write_users(anew, entries)
    rebuilt = refresh(anew, engine, Wanted(), now=NOW)
    for one, other in zip((day, week, month), rebuilt, strict=True):
        assert one.answer() == other.answer()


@pytest.fixture
def history(lake):
    """Ten users on each of 40 days, who all come back every day."""
    entries = {
        10 * step + n: START + timedelta(days=step) for step in range(40) for n in range(1, 11)
    }
    write_users(lake, entries)
    for step in range(40):
        day = START + timedelta(days=step)
        write_day(lake, day, {n: 1 for n, entry in entries.items() if entry <= day})
    return entries


def test_a_new_day_reads_only_the_periods_that_end_with_it(lake, engine, history):
    refresh(lake, engine, Wanted(through=START + timedelta(days=38)), now=NOW)  # 27 February
    day, week, month = refresh(lake, engine, Wanted(), now=NOW)  # 28 February, a Friday
    assert (day.read_days, week.read_days, month.read_days) == (1, 0, 28)
    assert day.computed == 31 + 30  # every cell of the new cohort, one of each of 30 others
    assert [one.restatements for one in (day, week, month)] == [[], [], []]


def test_the_same_facts_again_change_nothing(lake, engine, history):
    refresh(lake, engine, Wanted(), now=NOW)
    before = {grain: _published(lake, grain) for grain in ("day", "week", "month")}
    again = refresh(lake, engine, Wanted(), now=NOW)
    assert [(one.computed, one.changed, one.read_days) for one in again] == [(0, 0, 0)] * 3
    assert {grain: _published(lake, grain) for grain in before} == before


def test_a_late_event_restates_the_closed_cells_it_touches_and_each_is_listed(
    lake, engine, history
):
    refresh(lake, engine, Wanted(grains=("day",)), now=NOW)
    late = START + timedelta(days=3)
    write_day(lake, late, {n: 1 for n in range(1, 10)})  # of 40 there, 9 of the first cohort stay
    (day,) = refresh(lake, engine, Wanted(grains=("day",)), now=NOW)
    assert day.read_days == 1
    told = [
        (one.cohort_start, one.period_index, one.users_before, one.users_now)
        for one in CellStore(lake).restatements("day")
    ]
    assert told == [
        (START, 3, 10, 9),
        (START + timedelta(days=1), 2, 10, 0),
        (START + timedelta(days=2), 1, 10, 0),
        (START + timedelta(days=3), 0, 10, 0),
    ]


class _FullDisk(Lake):
    """A lake that takes the log of changes and then no cells."""

    def write_partition(self, dataset, partition, frames, certificate, *, now=None):
        if dataset == CELLS:
            raise LakeWriteError("disk full")
        return super().write_partition(dataset, partition, frames, certificate, now=now)


def test_a_refresh_that_dies_after_its_log_tells_each_change_once(lake, engine, history):
    wanted = Wanted(grains=("day",))
    refresh(lake, engine, wanted, now=NOW)
    before = _published(lake, "day")
    write_day(lake, START, {n: 1 for n in range(1, 10)})
    with pytest.raises(LakeWriteError):
        refresh(_FullDisk(lake.url), engine, wanted, now=NOW)
    assert _published(lake, "day") == before
    refresh(lake, engine, wanted, now=NOW)
    told = CellStore(lake).restatements("day")
    assert [(one.cohort_start, one.users_before, one.users_now) for one in told] == [(START, 10, 9)]


def test_a_cohort_that_loses_members_is_named(lake, engine, history):
    refresh(lake, engine, Wanted(grains=("day",)), now=NOW)
    write_users(lake, {number: day for number, day in history.items() if number != 1})
    (day,) = refresh(lake, engine, Wanted(grains=("day",)), now=NOW)
    assert day.shrunk == [START]


def test_since_computes_days_again_that_did_not_change(lake, engine, history):
    refresh(lake, engine, Wanted(grains=("week",)), now=NOW)
    wanted = Wanted(grains=("week",), since=START + timedelta(days=28))  # a Monday, 17 February
    (week,) = refresh(lake, engine, wanted, now=NOW)
    assert (week.read_days, week.changed) == (7, 0)  # the week of the 24th is not over


def test_until_ends_the_days_that_are_computed_again(lake, engine, history):
    refresh(lake, engine, Wanted(grains=("day",)), now=NOW)
    first, last = START + timedelta(days=10), START + timedelta(days=12)
    (day,) = refresh(lake, engine, Wanted(grains=("day",), since=first, until=last), now=NOW)
    assert (day.read_days, day.changed) == (3, 0)


@pytest.mark.parametrize("since", [None, START + timedelta(days=1)])
def test_a_range_that_ends_before_it_begins_is_refused(since):
    with pytest.raises(UsageError, match="--until 2031-01-20 ends a range"):
        Wanted(since=since, until=START)


def test_a_dry_run_says_what_would_change_and_writes_nothing(lake, engine, history):
    (week,) = refresh(lake, engine, Wanted(grains=("week",)), now=NOW, dry_run=True)
    assert week.plan.is_rebuild
    assert week.changed == week.published.frame.height > 0
    assert CellStore(lake).read("week") is None


def test_another_week_start_makes_everything_anew(lake, engine, history):
    refresh(lake, engine, Wanted(grains=("week",)), now=NOW)
    (week,) = refresh(lake, engine, Wanted(grains=("week",), week_start="sunday"), now=NOW)
    assert week.plan.is_rebuild
    assert week.published.frame["cohort_start"].min() == date(2031, 1, 19)
    assert week.restatements == []


def test_a_day_that_was_not_over_when_it_was_rolled_up_waits(lake, engine):
    write_users(lake, {1: START})
    schema = {"user_number": pl.Int32, "day": pl.Int32, "events": pl.Int64}
    for day, hour in ((START, 24), (START + timedelta(days=1), 23)):
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        told = {"tz": "UTC", "as_of": (midnight + timedelta(hours=hour)).isoformat()}
        frame = pl.DataFrame([(1, (day - EPOCH).days, 1)], schema=schema, orient="row")
        lake.write_partition(ACTIVITY, {"day": day.isoformat()}, [frame], told)
    (day,) = refresh(lake, engine, Wanted(grains=("day",)), now=NOW)
    assert day.definition.as_of == datetime(2031, 1, 21, tzinfo=UTC)


def test_another_zone_than_the_rollups_is_refused(lake, engine, history):
    with pytest.raises(UsageError, match="those of UTC, not of Asia/Tokyo"):
        refresh(lake, engine, Wanted(tz="Asia/Tokyo"), now=NOW)


def test_without_facts_the_file_mode_is_named(lake, engine):
    with pytest.raises(GrowthError, match="no activity") as caught:
        refresh(lake, engine, Wanted(), now=NOW)
    assert "growth retention" in caught.value.remedy


def test_an_unknown_grain_is_refused_with_those_there_are():
    with pytest.raises(UsageError) as caught:
        Wanted(grains=("quarter",))
    assert caught.value.remedy == "allowed are day, week, month"
