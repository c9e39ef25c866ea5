"""Days in short: daily refreshes say what a plain loop counts, and read one day of activity."""

from __future__ import annotations

import os
import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from growth_pipeline.cohorts.refresh.facts import ACTIVITY, USERS
from growth_pipeline.cohorts.refresh.published import CELLS, CellStore
from growth_pipeline.cohorts.refresh.run import Wanted, refresh
from growth_pipeline.cohorts.refresh.short_days import SHORT_DAYS
from growth_pipeline.storage.engine import Engine
from growth_pipeline.storage.lake import Lake
from growth_pipeline_tests.cohorts.plain_facts import floor_day, index_of, write_day, write_users

EPOCH = date(1970, 1, 1)
START = date(2031, 1, 27)
NOW = datetime(2031, 6, 1, tzinfo=UTC)
GRAINS = (("day", 30), ("week", 12), ("month", 12))


class _Watched(Engine):
    """An engine that notes which files of activity it is given."""

    def __init__(self, *bounds):
        super().__init__(*bounds)
        self.read = set()

    def query(self, sql, tables, params=None):
        activity = tables.get("activity")
        if isinstance(activity, list):
            self.read |= set(activity)
        return super().query(sql, tables, params)


@pytest.fixture
def engine(tmp_path):
    return _Watched("256MiB", 2, tmp_path / "engine")


@pytest.fixture
def lake(tmp_path):
    return Lake(str(tmp_path / "lake"))


def _by_hand(entries, days, grain, last, through):
    """(cohort, index) -> (size, users, events); the last two None while not closed."""
    cells = {}
    for cohort in {floor_day(day, grain) for day in entries.values() if day <= through}:
        members = {
            n for n, day in entries.items() if day <= through and floor_day(day, grain) == cohort
        }
        came, events = defaultdict(set), defaultdict(int)
        for day, active in days.items():
            for number in members & active.keys():
                came[index_of(cohort, day, grain)].add(number)
                events[index_of(cohort, day, grain)] += active[number]
        ended = index_of(cohort, through + timedelta(days=1), grain)
        for index in range(last + 1):
            told = (len(came[index]), events[index]) if index < ended else (None, None)
            cells[cohort, index] = (len(members), *told)
    return cells


def _published(lake, grain):
    return {
        (row["cohort_start"], row["period_index"]): (
            row["cohort_size"],
            row["users"],
            row["events"],
        )
        for row in CellStore(lake).read(grain).frame.iter_rows(named=True)
    }


class _Company:
    """Users numbered before they enter, known late, corrected, gone; days told anew."""

    def __init__(self, chance):
        self.chance = chance
        self.truth, self.known, self.days = {}, {}, {}

    def live(self, today):
        """One more day; which days were told."""
        chance = self.chance
        for _ in range(chance.randint(0, 3)):  # over three words of bits
            self.truth[chance.randint(1, 130)] = today + timedelta(days=chance.choice((0, 0, 1, 9)))
        if chance.random() < 0.8:  # else nobody new is known before another day
            self.known |= {n: day for n, day in self.truth.items() if n not in self.known}
        self._correct(today)
        told = [today]
        if self.days and chance.random() < 0.1:
            told.append(chance.choice(list(self.days)))
        for day in told:
            self.days[day] = {n: chance.randint(1, 5) for n in self.truth if chance.random() < 0.3}
        return told

    def _correct(self, today):
        chance = self.chance
        if self.known and chance.random() < 0.1:
            earlier = today - timedelta(days=chance.randint(0, 40))
            self.known[chance.choice(list(self.known))] = earlier
        if self.known and chance.random() < 0.1:
            gone = chance.choice(list(self.known))
            del self.known[gone], self.truth[gone]


def test_daily_refreshes_of_a_changing_history_are_what_a_plain_loop_counts(lake, engine, seed):
    company = _Company(random.Random(seed))
    for step in range(68):  # to 4 April: the ends of January, February and March
        today = START + timedelta(days=step)
        for day in company.live(today):
            write_day(lake, day, company.days[day])
        if not company.known or company.chance.random() < 0.2:
            continue
        write_users(lake, company.known)
        refresh(lake, engine, Wanted(), now=NOW)
        if today.day < 5 or company.chance.random() < 0.2:
            for grain, last in GRAINS:
                told = _by_hand(company.known, company.days, grain, last, today)
                assert _published(lake, grain) == told


@pytest.fixture
def history(lake, engine):
    """Twenty users who come back every day, refreshed each day from 31 January to 27 February."""
    entries = {n: START + timedelta(days=n % 4) for n in range(20)}
    write_users(lake, entries)
    days = {START + timedelta(days=step): dict.fromkeys(entries, 2) for step in range(33)}
    for day, active in days.items():
        write_day(lake, day, active)
    for step in range(4, 32):
        refresh(lake, engine, Wanted(through=START + timedelta(days=step)), now=NOW)
    engine.read.clear()
    return entries, days


def _days_read(lake, engine):
    names = {manifest.path: manifest.partition["day"] for manifest in lake.manifests(ACTIVITY)}
    return sorted(names[path] for path in engine.read)


def test_the_end_of_a_month_reads_one_day_of_activity(lake, engine, history):
    _, _, month = refresh(lake, engine, Wanted(), now=NOW)
    assert month.read_days == 28
    assert _days_read(lake, engine) == ["2031-02-28"]
    for grain, last in GRAINS:
        told = _by_hand(*history, grain, last, date(2031, 2, 28))
        assert _published(lake, grain) == told


def test_a_late_event_makes_only_its_day_again(lake, engine, history):
    entries, days = history
    days[date(2031, 2, 10)] = {1: 7}
    write_day(lake, date(2031, 2, 10), {1: 7})
    refresh(lake, engine, Wanted(), now=NOW)
    assert _days_read(lake, engine) == ["2031-02-10", "2031-02-28"]
    assert _published(lake, "month") == _by_hand(entries, days, "month", 12, date(2031, 2, 28))


def test_a_damaged_day_in_short_is_made_again(lake, engine, history, tmp_path):
    for path in (tmp_path / "lake" / SHORT_DAYS).glob("*/*.parquet"):
        path.write_bytes(b"cut")
    refresh(lake, engine, Wanted(), now=NOW)
    assert len(_days_read(lake, engine)) == 28
    assert _published(lake, "month") == _by_hand(*history, "month", 12, date(2031, 2, 28))


def test_a_dry_run_keeps_no_day_in_short(lake, engine, history):
    before = lake.manifests(SHORT_DAYS)
    refresh(lake, engine, Wanted(), now=NOW, dry_run=True)
    assert lake.manifests(SHORT_DAYS) == before


def test_of_old_versions_that_nobody_reads_only_the_last_one_stays(lake, engine, history):
    folder = Path(lake.url) / CELLS / "grain=day"
    assert len(list(folder.glob("*.parquet"))) == 28  # one a refresh, all of the last hour
    for path in folder.glob("*.parquet"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    refresh(lake, engine, Wanted(), now=NOW)
    assert len(list(folder.glob("*.parquet"))) == 2
    assert _published(lake, "day") == _by_hand(*history, "day", 30, date(2031, 2, 28))


def test_a_week_whose_last_day_apia_leapt_over_ends_with_the_day_before(lake, engine, tmp_path):
    """Samoa had no 30 December 2011: the Saturday's week of the 24th was over after the 29th."""
    zone = {"tz": "Pacific/Apia"}
    thursday, saturday = date(2011, 12, 29), date(2011, 12, 31)
    days = [date(2011, 12, 20) + timedelta(days=step) for step in range(10)]
    write_users(lake, {1: date(2011, 12, 21), 2: date(2011, 12, 24), 3: saturday})
    wanted = Wanted(week_start="saturday")
    for day in days:
        write_day(lake, day, {1: 1, 2: 1}, zone)
        refresh(lake, engine, wanted, now=NOW)
    weeks = _published(lake, "week")
    assert days[-1] == thursday
    assert weeks[date(2011, 12, 24), 0] == (1, 1, 6)
    assert weeks[date(2011, 12, 17), 1] == (1, 1, 6)
    assert _published(lake, "day")[date(2011, 12, 24), 6] == (1, 0, 0)  # a day without hours
    assert _published(lake, "month")[date(2011, 12, 1), 0] == (2, None, None)
    write_day(lake, saturday, {2: 5, 3: 1}, zone)
    (*_, month) = refresh(lake, engine, wanted, now=NOW)
    assert month.definition.as_of == datetime(2011, 12, 31, 10, tzinfo=UTC)  # UTC+14 now
    assert _published(lake, "month")[date(2011, 12, 1), 0] == (3, 3, 10 + 10 + 5 + 1)
    assert _published(lake, "day")[date(2011, 12, 24), 7] == (1, 1, 5)
    anew = Lake(str(tmp_path / "anew"))
    for manifest in (*lake.manifests(USERS), *lake.manifests(ACTIVITY)):
        anew.write_partition(
            manifest.dataset, manifest.partition, [lake.read(manifest)], manifest.certificate
        )
    refresh(anew, engine, wanted, now=NOW)
    for grain, _ in GRAINS:
        assert _published(lake, grain) == _published(anew, grain)
