"""Months as half-open ranges of UTC instants, and the state of a period at an as-of instant.

Contract: docs/metrics.md, "Rules for every metric".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum

from growth_pipeline.core.errors import UsageError

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
