"""Which counts of active users a change of the facts touches, and which days decide them. Pure.

A day touches the rolling windows that hold it, the calendar periods it lies in, and the ones after
these, whose users may have come back from it. Contract: docs/metrics.md, "Published active users".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from growth_pipeline.cohorts.active_users.definition import ActiveUsersDefinition
from growth_pipeline.cohorts.active_users.rules import Period
from growth_pipeline.cohorts.definition import GRAINS
from growth_pipeline.core.calendar import period_of, period_start
from growth_pipeline.core.periods import PeriodState

WINDOWS = (1, 7, 30)
_LONGEST = max(WINDOWS)


@dataclass(frozen=True)
class Calendar:
    """Periods of a grain, as `core.calendar` asks."""

    grain: str
    week_start: str
    anchor: date | None = None


@dataclass(frozen=True)
class Basis:
    """What counts were made of.

    `through`: the last whole local day, as a day number; `first_day`: the first one with activity.
    `options`: as `published_options`. `days`: day number -> hash of its activity, up to `through`.
    """

    through: int
    first_day: int
    options: Mapping[str, Any]
    days: Mapping[int, str]

    @cached_property
    def calendars(self) -> Mapping[str, Calendar]:
        """Grain -> what decides its periods."""
        return {grain: Calendar(grain, self.options["week_start"]) for grain in GRAINS}

    def period(self, grain: str, day: int) -> int:
        """The period of a grain that holds a day."""
        return period_of(day, self.calendars[grain])

    def days_of(self, grain: str, period: int) -> range:
        """The local days of a period."""
        calendar = self.calendars[grain]
        return range(period_start(period, calendar), period_start(period + 1, calendar))

    def last_closed(self, grain: str) -> int:
        """The last period that is over."""
        return self.period(grain, self.through + 1) - 1

    def files_of(self, days: Iterable[int]) -> list[int]:
        """Of these days, those of which there is activity, in order."""
        return sorted(set(days) & self.days.keys())

    def periods(self, grain: str) -> Iterator[Period]:
        """Every period from the one with the first day of activity to the one with the last day."""
        for number in range(
            self.period(grain, self.first_day), self.period(grain, self.through) + 1
        ):
            days = self.days_of(grain, number)
            closed = days.stop - 1 <= self.through
            state = PeriodState.CLOSED if closed else PeriodState.OPEN
            yield Period(number, days.start, days.stop, state)


@dataclass(frozen=True)
class Touched:
    """What is counted again. `windows`: last days of rolling windows; `periods`: by grain."""

    is_rebuild: bool
    windows: frozenset[int]
    periods: Mapping[str, frozenset[int]]

    def window_days(self) -> set[int]:
        """The days that lie in a touched window."""
        return {day - back for day in self.windows for back in range(_LONGEST)}


def published_options(definition: ActiveUsersDefinition) -> dict[str, Any]:
    """The options of what is published, as its head shows them."""
    told = definition.resolved()
    for name in ("kind", "grains", "silent_days", "retained", "from", "to", "open_cells"):
        del told[name]
    return told


def touched(
    before: Basis | None, now: Basis, moved: Iterable[tuple[int, int, bool]] = ()
) -> Touched:
    """What differs between two states of the facts.

    `moved`: first active days, before and now, of users for whom they differ, or whose segment is
    another one (True): all counts since then may be others. Other options, an earlier last day or
    another first day make everything anew.
    """
    if before is None or (before.options, before.first_day) != (now.options, now.first_day):
        return _everything(now)
    if now.through < before.through:
        return _everything(now)
    known = before.days.keys() | now.days.keys()
    days = {day for day in known if before.days.get(day) != now.days.get(day)}
    days |= set(range(before.through + 1, now.through + 1))
    firsts: set[int] = set()
    for day_before, day_now, is_moved in moved:
        firsts |= {day_before, day_now}
        if is_moved:
            days |= set(range(min(day_before, day_now), now.through + 1))
    return Touched(False, _windows(days, now), _periods(days, firsts, now))


def _everything(now: Basis) -> Touched:
    days = range(now.first_day, now.through + 1)
    return Touched(True, _windows(days, now), _periods(days, (), now))


def _windows(days: Iterable[int], now: Basis) -> frozenset[int]:
    reached = {day + later for day in days for later in range(_LONGEST)}
    return frozenset(day for day in reached if now.first_day <= day <= now.through)


def _periods(days: Iterable[int], firsts: Iterable[int], now: Basis) -> dict[str, frozenset[int]]:
    """By grain, the closed periods of these days and those after them."""
    told = {}
    for grain in GRAINS:
        inside = {now.period(grain, day) for day in days}
        inside |= {period + 1 for period in inside} | {now.period(grain, day) for day in firsts}
        first, last = now.period(grain, now.first_day), now.last_closed(grain)
        told[grain] = frozenset(period for period in inside if first <= period <= last)
    return told
