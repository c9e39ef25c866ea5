"""Weeks of a report and days of their zone, and rows by day added up by week. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from growth_pipeline.core.calendar import date_of, day_end, day_number, day_start, first_day_after
from growth_pipeline.insights.facts import Point, State, Value, weeks_before

WEEK_DAYS = 7
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True)
class Weeks:
    """Weeks as `[start, end)`, oldest first, in local days of a zone, and how far it is known.

    `as_of`: exclusive; None: nothing is known. `first_day`: of the data; weeks that begin before
    it are left out, because they would be partial.
    """

    spans: Sequence[tuple[date, date]]
    tz: str
    as_of: datetime | None

    @classmethod
    def before(cls, end: date, count: int, *, tz: str, as_of: datetime | None) -> Weeks:
        """`count` weeks, the last of which ends with `end`, exclusive."""
        return cls(weeks_before(end, count), tz, as_of)

    @property
    def first(self) -> date:
        """First day of the first week."""
        return self.spans[0][0]

    @property
    def end(self) -> date:
        """The day after the last week."""
        return self.spans[-1][1]

    @property
    def starts_at(self) -> datetime:
        """First instant of the first week."""
        return instant_of(self.tz, self.first)

    @property
    def ends_at(self) -> datetime:
        """First instant after the last week."""
        return instant_of(self.tz, self.end)

    def since(self, first_day: date | None) -> Weeks:
        """Whole weeks from a first day of data on; none without one."""
        spans = [] if first_day is None else [one for one in self.spans if one[0] >= first_day]
        return Weeks(spans, self.tz, self.as_of)

    def points(self, measure: Callable[[date, date], Measured]) -> tuple[Point, ...]:
        """One point a week: measured where the week is over in what is known, else open."""
        return tuple(self._point(start, end, measure) for start, end in self.spans)

    def _point(self, start: date, end: date, measure: Callable[[date, date], Measured]) -> Point:
        if not is_known(self.tz, end, self.as_of):
            return Point(start, end, state=State.OPEN, reason=known_until(self.as_of))
        told = measure(start, end)
        return Point(
            start,
            end,
            told.value,
            told.sample,
            told.numerator,
            told.denominator,
            reason=told.reason,
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """A value of one period, with what it rests on; `reason` where it is not known."""

    value: Value
    sample: int | None = None
    numerator: int | None = None
    denominator: int | None = None
    reason: str = ""


def last_week_end(now: datetime, *, tz: str, week_start: str) -> date:
    """The first day after the last week that is over in a zone.

    Raises: UsageError for an unknown zone.
    """
    today = first_day_after(tz, int(now.timestamp()))
    since = (date_of(today).weekday() - WEEKDAYS.index(week_start)) % WEEK_DAYS
    return date_of(today - since)


def instant_of(tz: str, day: date) -> datetime:
    """The first instant of a local day."""
    return datetime.fromtimestamp(day_start(tz, day_number(day)), UTC)


def local_day(tz: str, instant: datetime) -> date:
    """The local day that holds an instant."""
    return date_of(first_day_after(tz, int(instant.timestamp())))


def is_known(tz: str, end: date, as_of: datetime | None) -> bool:
    """Whether all days before `end` are over in what is known up to `as_of`."""
    return as_of is not None and day_end(tz, day_number(end) - 1) <= as_of.timestamp()


def known_until(as_of: datetime | None) -> str:
    """Why a period is open, in words."""
    if as_of is None:
        return "nothing is known of it yet"
    return f"known only up to {as_of.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def sum_of_days(days: Mapping[date, int], start: date, end: date) -> int:
    """The days of a period added up; a day without a row is 0."""
    count = (end - start).days
    return sum(days.get(start + timedelta(days=n), 0) for n in range(count))
