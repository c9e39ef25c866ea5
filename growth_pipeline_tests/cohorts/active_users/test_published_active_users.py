"""Published active users: refreshes against a plain loop and a full count, over random histories."""

from __future__ import annotations

import random
import shutil
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from typing import Any

import polars as pl
import pytest

from growth_pipeline.cohorts.active_users.published.judge import (
    judge_lifecycle,
    judge_rows,
    judge_segments,
    judge_stickiness,
    judge_windows,
)
from growth_pipeline.cohorts.active_users.published.refresh import refresh_active_users
from growth_pipeline.cohorts.active_users.published.rows import active_rows, lifecycle_rows
from growth_pipeline.core.errors import GrowthError, UsageError
from growth_pipeline.storage.engine import Engine
from growth_pipeline.storage.lake import FileSystemOps, Lake, LakeWriteError
from growth_pipeline_tests.cohorts.plain_facts import floor_day, write_day, write_users

START = date(2031, 1, 20)
NOW = datetime(2031, 6, 1, tzinfo=UTC)
ONE = timedelta(days=1)
SEGMENT = "plan"


@pytest.fixture
def engine(tmp_path):
    return Engine("256MiB", 2, tmp_path / "engine")


@pytest.fixture
def lake(tmp_path):
    lake = Lake(str(tmp_path / "lake"))
    write_users(lake, {1: START})
    return lake


def write_segments(lake: Lake, segments: dict[int, str]) -> None:
    rows = sorted(segments.items())
    schema = {"user_number": pl.Int32, "segment": pl.String}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    lake.write_partition("user_segments", {"segment_by": SEGMENT}, [frame], {})


def next_of(start: date, grain: str) -> date:
    """The first day of the period after one."""
    if grain == "month":
        return (start + timedelta(days=32)).replace(day=1)
    return start + (7 if grain == "week" else 1) * ONE


def quotient(part: int, whole: int) -> Decimal | None:
    if whole == 0:
        return None
    exact = Fraction(part, whole)
    places = Decimal("0.000001")
    return (Decimal(exact.numerator) / exact.denominator).quantize(places, ROUND_HALF_EVEN)


class PlainCount:
    """Active users by hand: day -> users, and nothing else."""

    def __init__(self, days: dict[date, set[int]]) -> None:
        self.days = days
        self.first = min(day for day, users in days.items() if users)
        self.last = max(days)

    def between(self, first: date, last: date) -> set[int]:
        return {user for day, users in self.days.items() if first <= day <= last for user in users}

    def every_day(self) -> list[date]:
        return [self.first + step * ONE for step in range((self.last - self.first).days + 1)]

    def periods(self, grain: str) -> list[tuple[date, bool]]:
        """First day of each period, and whether it is over."""
        found, start = [], floor_day(self.first, grain)
        while start <= self.last:
            found.append((start, next_of(start, grain) - ONE <= self.last))
            start = next_of(start, grain)
        return found

    def rolling(self) -> dict[tuple[str, date], tuple[int, bool]]:
        lengths = {"dau": 1, "wau": 7, "mau": 30}
        return {
            (metric, day): (
                len(self.between(day - (length - 1) * ONE, day)),
                day - (length - 1) * ONE < self.first,
            )
            for metric, length in lengths.items()
            for day in self.every_day()
        }

    def lifecycle(self, grain: str) -> dict[date, tuple[int, ...] | None]:
        """Active, new, returning, resurrecting, dormant; None for a period that is not over."""
        told: dict[date, tuple[int, ...] | None] = {}
        ever: set[int] = set()
        before: set[int] = set()
        for start, is_over in self.periods(grain):
            now = self.between(start, next_of(start, grain) - ONE)
            told[start] = None
            if is_over:
                kinds = (now - ever, now & before, (now & ever) - before, before - now)
                told[start] = (len(now), *map(len, kinds))
            ever, before = ever | now, now
        return told

    def stickiness(self) -> dict[date, tuple[Any, ...] | None]:
        told: dict[date, tuple[Any, ...] | None] = {}
        for start, is_over in self.periods("month"):
            last = next_of(start, "month") - ONE
            days, users = (last - start).days + 1, len(self.between(start, last))
            pairs = sum(len(who) for day, who in self.days.items() if start <= day <= last)
            numbers = (pairs, days, quotient(pairs, days), users, quotient(pairs, days * users))
            told[start] = numbers if is_over else None
        return told

    def rolling_stickiness(self) -> dict[date, Decimal | None]:
        told = {}
        for day in self.every_day():
            since = day - 29 * ONE
            pairs = sum(len(who) for one, who in self.days.items() if since <= one <= day)
            told[day] = quotient(pairs, 30 * len(self.between(since, day)))
        return told


def of_segment(rows: list[dict[str, Any]], segment: str | None) -> list[dict[str, Any]]:
    return [row for row in rows if row["segment"] == segment]


def compare(rows: list[dict[str, Any]], lifecycle: list[dict[str, Any]], plain: PlainCount) -> None:
    """Every published row of one segment, against the plain loop."""
    told = {(row["metric"], row["period_start"]): row for row in rows}
    for key, (users, truncated) in plain.rolling().items():
        assert (told[key]["users"], told[key]["truncated"]) == (users, truncated), key
    names = ("active", "new", "returning", "resurrecting", "dormant")
    for grain in ("day", "week", "month"):
        found = {
            row["period_start"]: tuple(row[f"{name}_users"] for name in names)
            for row in lifecycle
            if row["grain"] == grain
        }
        nothing = (None,) * 5
        assert found == {day: told or nothing for day, told in plain.lifecycle(grain).items()}
    for metric, grain in (("wau_calendar", "week"), ("mau_calendar", "month")):
        found = {row["period_start"]: row["users"] for row in rows if row["metric"] == metric}
        assert found == {day: told and told[0] for day, told in plain.lifecycle(grain).items()}
    for day, numbers in plain.stickiness().items():
        row = told["stickiness", day]
        names = ("user_days", "days", "average_dau", "users", "rate")
        if numbers is None:
            assert (row["users"], row["rate"], row["state"]) == (None, None, "open")
        else:
            assert tuple(row[name] for name in names) == numbers
    rates = {row["period_start"]: row["rate"] for row in rows if row["metric"][10:] == "_rolling"}
    assert rates == plain.rolling_stickiness()
    assert len(rows) == len(told)


def check(done, days: dict[date, set[int]], segments: dict[int, str]) -> None:
    whole, split = done
    rows, lifecycle = active_rows(whole.counted), lifecycle_rows(whole.counted)
    compare(rows, lifecycle, PlainCount(days))
    parts, kinds = active_rows(split.counted), lifecycle_rows(split.counted)
    first = PlainCount(days).first
    for segment in {segments.get(user) for users in days.values() for user in users}:
        own = {
            day: {user for user in users if segments.get(user) == segment}
            for day, users in days.items()
        }
        plain = PlainCount(own)
        plain.first = first  # the data begin when anybody's do
        compare(of_segment(parts, segment), of_segment(kinds, segment), plain)
    for one, other, made in ((rows, lifecycle, whole), (parts, kinds, split)):
        assert judge_rows(one) == judge_rows(other, "active_users") == []
        assert judge_windows(one, other) == judge_stickiness(one) == []
        assert judge_lifecycle(other, made.people) == []
    assert judge_segments(rows, parts) == []


def happen(chance: random.Random, today: date, days: dict[date, set[int]]) -> list[date]:
    """A day of life; the days that are other ones now."""
    people = range(1, 13)
    days[today] = {user for user in people if chance.random() < chance.choice((0.0, 0.2, 0.5))}
    changed = [today]
    if chance.random() < 0.15:  # late events, or a user who was merged or excluded
        late = chance.choice(list(days))
        days[late] = {user for user in people if chance.random() < 0.3}
        changed.append(late)
    return changed


def test_refreshes_over_a_random_history_are_what_a_plain_loop_counts(lake, engine, tmp_path, seed):
    chance = random.Random(seed)
    days: dict[date, set[int]] = {START - ONE: {1}}
    segments: dict[int, str] = {}
    write_day(lake, START - ONE, {1: 1})
    for step in range(75):
        for day in happen(chance, START + step * ONE, days):
            if not any(days.values()):
                days[day] = {1}
            write_day(lake, day, dict.fromkeys(days[day], 1))
        if chance.random() < 0.1:  # somebody's plan becomes known
            segments.setdefault(chance.randint(1, 12), chance.choice(("pro", "basic")))
        write_segments(lake, segments)
        if step % 25 == 0 or chance.random() < 0.1:
            done = refresh_active_users(lake, engine, now=NOW, segments=[SEGMENT])
            check(done, days, segments)
    done = refresh_active_users(lake, engine, now=NOW, segments=[SEGMENT])
    check(done, days, segments)
    anew = Lake(str(tmp_path / "anew"))
    write_users(anew, {1: START})
    write_segments(anew, segments)
    for day, users in days.items():
        write_day(anew, day, dict.fromkeys(users, 1))
    full = refresh_active_users(anew, engine, now=NOW, segments=[SEGMENT])
    for one, other in zip(done, full, strict=True):
        assert one.counted.frame.rows() == other.counted.frame.rows()
        assert other.touched.is_rebuild


@pytest.fixture
def history(lake):
    """Ten users, each active every third day, for a hundred days: 20 January to 29 April."""
    for step in range(100):
        day = START + step * ONE
        write_day(lake, day, {user: 1 for user in range(1, 11) if (user + step) % 3 == 0})
    return lake


def without(lake: Lake, folder: Any, days: set[date]) -> Lake:
    """The same lake before these days were rolled up."""
    early = Lake(str(folder))
    for dataset in ("users", "activity"):
        for manifest in lake.manifests(dataset):
            if manifest.partition.get("day") not in {day.isoformat() for day in days}:
                early.write_partition(dataset, manifest.partition, [lake.read(manifest)], {})
    return early


@pytest.mark.parametrize(
    ("today", "most"),
    [
        (date(2031, 4, 29), 30),  # an ordinary Tuesday: the 30 days of MAU
        (date(2031, 4, 27), 30),  # a Sunday: the week is over too
        (date(2031, 3, 31), 31),  # the last day of a long month
    ],
)
def test_one_more_day_reads_at_most_the_days_of_a_month(history, engine, tmp_path, today, most):
    later = {today + step * ONE for step in range(60)}
    lake = without(history, tmp_path / "early", later)
    refresh_active_users(lake, engine, now=NOW)
    write_day(lake, today, {1: 1, 2: 1})
    (made,) = refresh_active_users(lake, engine, now=NOW)
    assert made.read_days == most
    assert not made.touched.is_rebuild
    assert made.restatements == []


def test_the_same_facts_again_count_nothing_and_read_nothing(history, engine):
    (first,) = refresh_active_users(history, engine, now=NOW)
    (again,) = refresh_active_users(history, engine, now=NOW)
    assert (again.computed, again.read_days, again.restatements) == (0, 0, [])
    assert again.counted.frame.equals(first.counted.frame)
    assert first.in_words().startswith("active users: all of ")


def test_a_late_event_restates_the_counts_it_touches_and_each_is_listed(history, engine):
    refresh_active_users(history, engine, now=NOW)
    late = START + 50 * ONE  # 11 March, a Tuesday: 3, 6 and 9 were not active on the day
    active = {user: 1 for user in range(1, 11) if (user + 50) % 3 == 0}
    write_day(history, late, {**active, 99: 1})
    (made,) = refresh_active_users(history, engine, now=NOW)
    told = {(one.kind, one.size): one for one in made.restatements}
    number = (late - date(1970, 1, 1)).days
    windows = [one for one in made.restatements if one.kind == "window"]
    assert {one.start_day - number for one in windows if one.size == 30} == set(range(30))
    assert {one.start_day - number for one in windows if one.size == 7} == set(range(7))
    assert (told["day", 0].new_before, told["day", 0].new_now) == (0, 1)
    assert (told["month", 0].users_before, told["month", 0].users_now) == (10, 11)
    assert len(made.restatements) == 30 + 7 + 1 + 3


def test_counts_that_are_damaged_are_made_anew(history, engine, tmp_path):
    (first,) = refresh_active_users(history, engine, now=NOW)
    for path in (tmp_path / "lake" / "active_counts").rglob("*.parquet"):
        path.write_bytes(b"torn")
    (again,) = refresh_active_users(history, engine, now=NOW)
    assert again.touched.is_rebuild
    assert again.counted.frame.equals(first.counted.frame)


class Dying(FileSystemOps):
    """A disk that fails at the n-th file that gets its name, and is well afterwards."""

    def __init__(self, files: int) -> None:
        self.left = files

    def replace(self, source: Any, target: Any) -> None:
        self.left -= 1
        if self.left == 0:
            raise OSError(28, "No space left on device")
        super().replace(source, target)


def test_a_refresh_that_fails_at_any_file_is_made_good_by_the_next_one(lake, engine, tmp_path):
    days = {START + step * ONE: {1 + step % 3, 2} for step in range(13)}
    for day, users in days.items():
        write_day(lake, day, dict.fromkeys(users, 1))
    write_segments(lake, {2: "pro"})
    refresh_active_users(lake, engine, now=NOW, segments=[SEGMENT])
    days[START + 2 * ONE] |= {9}  # late, and the day that ends a week
    days[START + 13 * ONE] = {9}
    segments = {2: "pro", 3: "basic"}
    failed = 0
    while True:
        folder = tmp_path / f"dying-{failed}"
        shutil.copytree(tmp_path / "lake", folder)
        well = Lake(str(folder))
        for day in (START + 2 * ONE, START + 13 * ONE):
            write_day(well, day, dict.fromkeys(days[day], 1))
        write_segments(well, segments)
        dying = Lake(str(folder), operations=Dying(failed + 1))
        try:
            refresh_active_users(dying, engine, now=NOW, segments=[SEGMENT])
        except LakeWriteError:
            failed += 1
            check(refresh_active_users(well, engine, now=NOW, segments=[SEGMENT]), days, segments)
        else:
            break
    assert failed >= 12  # entries, log, and of each question counts and people: data and manifest


def test_weeks_that_start_on_another_day_are_counted_anew(history, engine):
    refresh_active_users(history, engine, now=NOW)
    (made,) = refresh_active_users(history, engine, now=NOW, week_start="sunday")
    weeks = [row for row in lifecycle_rows(made.counted) if row["grain"] == "week"]
    assert {row["period_start"].weekday() for row in weeks} == {6}
    assert made.restatements == []


def test_a_lake_without_activity_and_a_property_nobody_read_are_told(lake, engine):
    with pytest.raises(GrowthError, match="no activity in the lake"):
        refresh_active_users(lake, engine, now=NOW)
    write_day(lake, START, {})
    with pytest.raises(GrowthError, match="no user was active on a day that is over"):
        refresh_active_users(lake, engine, now=NOW)
    write_day(lake, START, {1: 1})
    with pytest.raises(UsageError, match="not known by 'country'"):
        refresh_active_users(lake, engine, now=NOW, segments=["country"])


def test_the_checks_see_what_is_wrong(history, engine):
    (made,) = refresh_active_users(history, engine, now=NOW)
    rows, lifecycle = active_rows(made.counted), lifecycle_rows(made.counted)
    by_metric = defaultdict(list)
    for row in rows:
        by_metric[row["metric"]].append(row)
    by_metric["dau"][40]["users"] += 20
    assert len(judge_windows(rows, lifecycle)) == 2  # above WAU, and not the lifecycle's
    assert len(judge_stickiness(rows)) == 1
    lifecycle[10]["new_users"] += 1
    assert len(judge_lifecycle(lifecycle, made.people)) == 2
    rows.append(rows[0])
    rows[1]["users"] = None
    assert len(judge_rows(rows)) == 2
