"""What counts of users and money mean: states, rates, intervals, averages, churn. Pure.

Contract: docs/metrics.md, "Cohorts and retention" and "Cohort money".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from functools import cached_property
from math import sqrt
from typing import TypeAlias

from growth_pipeline.cohorts.definition import RetentionDefinition
from growth_pipeline.core.calendar import day_end, day_start, period_start
from growth_pipeline.core.periods import PeriodState

Amount: TypeAlias = "int | Decimal"
"""Minor units, or an exact decimal of major units where no currency is known."""

RATE_DECIMALS = 6
_Z = 1.959964
_STEP = Decimal(1).scaleb(-RATE_DECIMALS)
_PRECISION = 60


def quotient(part: Amount, whole: Amount, step: Decimal = _STEP) -> Decimal | None:
    """`part / whole` to 6 decimals, half-even; None when the whole is 0 (no base)."""
    if whole == 0:
        return None
    with localcontext(prec=_PRECISION):
        exact = Decimal(part) / Decimal(whole)
        return exact.quantize(step, ROUND_HALF_EVEN)


def per_member(amount: Amount, size: int) -> Amount:
    """An amount per member: whole minor units, or 6 decimals of major units; half-even."""
    if isinstance(amount, int):
        lower, rest = divmod(amount, size)
        return lower + (2 * rest > size or (2 * rest == size and lower % 2 == 1))
    shared = quotient(amount, size)
    assert shared is not None  # noqa: S101  # a cohort has members
    return shared


def wilson_interval(users: int, base: int) -> tuple[float, float] | None:
    """Wilson 95 % interval of a share, at 6 decimals; None without a base or above all of it.

    Source: docs/metrics.md, "Cohorts and retention"; z = 1.959964.
    """
    if base == 0 or users > base:
        return None
    share = users / base
    scale = 1 + _Z**2 / base
    centre = (share + _Z**2 / (2 * base)) / scale
    half = _Z * sqrt(share * (1 - share) / base + _Z**2 / (4 * base**2)) / scale
    # At the ends of the scale the bound is exact; floating point alone would leave a trace.
    low = 0.0 if users == 0 else max(0.0, round(centre - half, RATE_DECIMALS))
    high = 1.0 if users == base else min(1.0, round(centre + half, RATE_DECIMALS))
    return low, high


@dataclass(frozen=True)
class Clock:
    """What has begun and what is over at `as_of`, by the clocks of the definition's zone."""

    definition: RetentionDefinition

    def state(self, cohort: int, first: int, last: int) -> PeriodState:
        """State of the periods `first` to `last` (both in) for a whole cohort.

        Closed when the last period of whoever could enter last is over; not begun while the first
        period of whoever could enter first is not.
        """
        if self._is_over(self._end_day(cohort, last)):
            return PeriodState.CLOSED
        started = day_start(self.definition.tz, self._start_day(cohort, first))
        return PeriodState.OPEN if started < self._second else PeriodState.NOT_BEGUN

    @cached_property
    def _second(self) -> float:
        return self.definition.as_of.timestamp()

    def _is_over(self, next_day: int) -> bool:
        """Whether all days before this one are over."""
        return day_end(self.definition.tz, next_day - 1) <= self._second

    def _start_day(self, cohort: int, index: int) -> int:
        if self.definition.is_calendar:
            return period_start(cohort + index, self.definition)
        return period_start(cohort, self.definition) + index * self.definition.span_days

    def _end_day(self, cohort: int, index: int) -> int:
        """The day after the last one that can decide period `index` of the cohort."""
        definition = self.definition
        if definition.is_calendar:
            return period_start(cohort + index + 1, definition)
        days = (index + 1) * definition.span_days
        next_cohort = period_start(cohort + 1, definition)
        if (
            definition.mode == "recurring"
        ):  # counted from the row's start, once its members are known
            return max(next_cohort, period_start(cohort, definition) + days)
        return next_cohort - 1 + days


@dataclass(frozen=True)
class Share:
    """One closed cell: who came back, of how many."""

    users: int
    base: int


def average(shares: Iterable[Share]) -> tuple[int, int, int]:
    """Users, base and number of cohorts of a column: pooled, never a mean of rates.

    Cohorts without a base are out; those without a returning user are in.
    """
    held = [share for share in shares if share.base > 0]
    return sum(share.users for share in held), sum(share.base for share in held), len(held)


def running_sums(by_period: dict[int, Amount], last: int) -> list[Amount]:
    """Sum over the periods 0 to n, for each n up to `last`."""
    sums: list[Amount] = []
    total: Amount = 0
    for index in range(last + 1):
        total = _sum(total, by_period.get(index, 0))
        sums.append(total)
    return sums


def sum_between(by_period: dict[int, Amount], first: int, last: int) -> Amount:
    """Sum over the periods `first` to `last`, both in."""
    total: Amount = 0
    for index in range(first, last + 1):
        total = _sum(total, by_period.get(index, 0))
    return total


def _sum(left: Amount, right: Amount) -> Amount:
    if isinstance(left, int) and isinstance(right, int):
        return left + right
    with localcontext(prec=_PRECISION):
        return Decimal(left) + Decimal(right)
