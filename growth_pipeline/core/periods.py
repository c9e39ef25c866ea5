"""Months as half-open ranges of UTC instants, in UTC or in a named zone, and their state.

Contract: docs/metrics.md, "Rules for every metric" and "Timing".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from functools import cache, cached_property
from zoneinfo import ZoneInfo, available_timezones

from growth_pipeline.core.errors import UsageError

UTC_NAME = "UTC"
# Names of the tz database that say nothing about a place.
_NO_ZONES = frozenset({"localtime", "Factory"})
_MONTH_KEY = re.compile(r"(\d{4})-(0[1-9]|1[0-2])\Z", re.ASCII)


class PeriodState(StrEnum):
    """Whether a period is over at `as_of` (exclusive). A number of an open one is provisional."""

    CLOSED = "closed"
    OPEN = "open"
    NOT_BEGUN = "not_begun"


@dataclass(frozen=True, order=True)
class Month:
    """A calendar month in UTC; `[start, end)`. Its key is `2025-10`."""

    year: int
    month: int

    @classmethod
    def parse(cls, key: str) -> Month:
        """Month of a key such as `2025-10`.

        Raises: UsageError naming the expected form.
        """
        match = _MONTH_KEY.match(key)
        if match is None or match[1] == "0000":
            raise UsageError(f"{key!r} is not a month", remedy="write it as YYYY-MM, as in 2025-10")
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def of(cls, instant: datetime) -> Month:
        """Month that holds an aware instant, in UTC.

        Raises: ValueError for an instant without a zone.
        """
        if instant.tzinfo is None:
            raise ValueError("an instant without a zone belongs to no month")
        utc = instant.astimezone(UTC)
        return cls(utc.year, utc.month)

    @property
    def key(self) -> str:
        """`2025-10`: partition key, file name and command-line argument alike."""
        return f"{self.year:04d}-{self.month:02d}"

    @property
    def first_day(self) -> date:
        """First calendar day."""
        return date(self.year, self.month, 1)

    @property
    def start(self) -> datetime:
        """First instant, inclusive."""
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """First instant of the next month, exclusive."""
        return self.next.start

    @property
    def next(self) -> Month:
        """The month after."""
        return Month(self.year + self.month // 12, self.month % 12 + 1)

    @property
    def previous(self) -> Month:
        """The month before."""
        return Month(self.year - (self.month == 1), (self.month - 2) % 12 + 1)

    def until(self, last: Month) -> Iterator[Month]:
        """Months from this one to `last`, both included; none if `last` is earlier."""
        month = self
        while month <= last:
            yield month
            month = month.next

    def state(self, as_of: datetime) -> PeriodState:
        """State of the month when only facts before `as_of` exist."""
        if self.end <= as_of:
            return PeriodState.CLOSED
        return PeriodState.OPEN if self.start < as_of else PeriodState.NOT_BEGUN

    def __str__(self) -> str:
        """The key."""
        return self.key


@cache
def zone_of(name: str) -> tzinfo:
    """The zone of a name of the tz database (IANA), such as `Europe/Berlin`.

    Raises: UsageError for a name that is not one.
    """
    if name == UTC_NAME:
        return UTC  # known without a tz database
    if name in _NO_ZONES or name not in available_timezones():
        raise UsageError(
            f"{name!r} is not a time zone",
            remedy="use a name of the tz database, as in Europe/Berlin or America/New_York",
        )
    return ZoneInfo(name)


@dataclass(frozen=True)
class ZonedMonth:
    """A calendar month by the clocks of a zone: `[start, end)`, both UTC instants.

    It begins when its first day first shows on the zone's clocks; a clock change at that moment
    may take midnight away, then it begins with the change. Months of one zone leave no gap.
    Raises: UsageError for an unknown zone.
    """

    month: Month
    tz: str = UTC_NAME

    @cached_property
    def start(self) -> datetime:
        """First instant, inclusive."""
        return _day_start(self.month.first_day, zone_of(self.tz))

    @cached_property
    def end(self) -> datetime:
        """First instant of the zone's next month, exclusive."""
        return _day_start(self.month.next.first_day, zone_of(self.tz))

    @classmethod
    def of(cls, instant: datetime, tz: str = UTC_NAME) -> ZonedMonth:
        """The zone's month that holds an aware instant."""
        local = instant.astimezone(zone_of(tz))
        month = cls(Month(local.year, local.month), tz)
        # A clock set back over midnight shows the month before once more.
        return month if instant < month.end else cls(month.month.next, tz)

    @property
    def utc_months(self) -> tuple[Month, ...]:
        """Months in UTC that it reaches into, in order: one in UTC, else two."""
        last = Month.of(self.end - timedelta(microseconds=1))
        return tuple(Month.of(self.start).until(last))

    def state(self, as_of: datetime) -> PeriodState:
        """State of the month when only facts before `as_of` exist."""
        if self.end <= as_of:
            return PeriodState.CLOSED
        return PeriodState.OPEN if self.start < as_of else PeriodState.NOT_BEGUN


def _day_start(day: date, zone: tzinfo) -> datetime:
    """The instant at which a zone's clocks first show a day, in UTC."""
    midnight = datetime.combine(day, time.min)
    late = midnight.replace(tzinfo=zone).astimezone(UTC)
    if _shown(late, zone) == midnight:
        return late
    # The clocks leapt over midnight: search the leap, between both readings of the missing hour.
    early = midnight.replace(tzinfo=zone, fold=1).astimezone(UTC)
    while late - early > timedelta(seconds=1):
        middle = early + timedelta(seconds=(late - early) // timedelta(seconds=2))
        if _shown(middle, zone) < midnight:
            early = middle
        else:
            late = middle
    return late


def _shown(instant: datetime, zone: tzinfo) -> datetime:
    """What the zone's clocks show at an instant."""
    return instant.astimezone(zone).replace(tzinfo=None)
