"""When each period is looked at: its days, its state, and the instant of its snapshot. Pure.

Contract: docs/metrics.md, "MRR movements".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from growth_pipeline.core.calendar import DAY_SECONDS, day_number, period_of, period_start
from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.periods import PeriodState
from growth_pipeline.storage.files.rows import EPOCH

if TYPE_CHECKING:
    from growth_pipeline.revenue.from_files.definition import MovementsDefinition

Days = Mapping[int, tuple[int, int]]
_MICROSECOND = timedelta(microseconds=1)
_SECOND_US = 1_000_000
_MOST_PERIODS = 100_000


@dataclass(frozen=True, slots=True)
class Period:
    """Local days `[start_day, next_day)` from 1970-01-01, and when it is looked at.

    `look_us`: the Unix microsecond whose MRR is the period's ending MRR; None before it begins.
    `window_us`: the one at which the rolling window of its churn opens, None without.
    """

    number: int
    start_day: int
    next_day: int
    state: PeriodState
    look_us: int | None
    window_us: int | None = None


def periods_of(
    days: Days, definition: MovementsDefinition, first_day: int
) -> tuple[list[Period], int]:
    """Every period from the first with data to the last that is shown, and the first shown number.

    `days`: local days of the definition's zone, with their first second and their end.
    Raises: UsageError for more periods than make sense.
    """
    last_day = max(_last_day(days, definition), first_day)
    last = period_of(
        last_day if definition.last is None else day_number(definition.last), definition
    )
    shown = period_of(
        first_day if definition.first is None else day_number(definition.first), definition
    )
    start = min(period_of(first_day, definition), shown)
    if last - start >= _MOST_PERIODS:
        raise UsageError(
            f"that is {last - start + 1} periods",
            remedy="give --from and --to, or a longer --grain",
        )
    looks = _Looks(days, definition)
    return [looks.period(number) for number in range(start, last + 1)], shown


class _Looks:
    """When each period is looked at."""

    def __init__(self, days: Days, definition: MovementsDefinition) -> None:
        self.days = days
        self.first_known = min(self.days)
        self.definition = definition
        self.as_of_us = (definition.as_of - EPOCH) // _MICROSECOND
        self.last_day = _last_day(days, definition)

    def begins(self, day: int) -> int:
        """The first microsecond of a local day; before the years of files, that of the first."""
        return self.days[max(day, self.first_known)][0] * _SECOND_US

    def period(self, number: int) -> Period:
        """The period of a number."""
        definition = self.definition
        first, following = period_start(number, definition), period_start(number + 1, definition)
        if self.begins(following) <= self.as_of_us:
            state = PeriodState.CLOSED
        elif self.begins(first) < self.as_of_us:
            state = PeriodState.OPEN
        else:
            return Period(number, first, following, PeriodState.NOT_BEGUN, None)
        if definition.snapshot == "first":
            look, end_day = self.begins(first), first
        else:
            look = min(self.begins(following), self.as_of_us) - 1
            end_day = min(following, self.last_day + 1)
        window = None
        if definition.window_days is not None:
            window = self.begins(end_day - definition.window_days) - (definition.snapshot == "last")
        return Period(number, first, following, state, look, window)


def _last_day(days: Days, definition: MovementsDefinition) -> int:
    """The last local day that has begun by as_of."""
    second = definition.as_of.timestamp()
    day = int(second // DAY_SECONDS) + 1
    while days[day][0] >= second:
        day -= 1
    return day
