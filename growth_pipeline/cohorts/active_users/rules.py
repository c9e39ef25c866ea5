"""Counts of the engine become rows: every day or period once, its state, its quotients. Pure.

Contract: docs/metrics.md, "Active users".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import accumulate
from typing import Any

from growth_pipeline.core.calendar import date_of
from growth_pipeline.core.periods import PeriodState

Row = dict[str, Any]
_NAMES = {
    "day": "dau",
    "week": "wau_calendar",
    "month": "mau_calendar",
    1: "dau",
    7: "wau",
    30: "mau",
}
_SIX_PLACES = Decimal("0.000001")


@dataclass(frozen=True)
class Period:
    """Whole local days `[start_day, next_day)`, counted from 1970-01-01, and the state at as_of.

    `number` grows by one from a period to the next of its grain.
    """

    number: int
    start_day: int
    next_day: int
    state: PeriodState

    @property
    def days(self) -> int:
        """How many days it has."""
        return self.next_day - self.start_day

    @property
    def begins(self) -> date:
        """Its first day."""
        return date_of(self.start_day)


@dataclass(frozen=True)
class Shown:
    """Which values are shown: those of closed periods, or also what open ones have so far."""

    open_too: bool = False

    def value(self, period: Period, value: Any) -> Any:
        """The value, None where it is not to be shown."""
        if period.state is PeriodState.CLOSED:
            return value
        return value if self.open_too and period.state is PeriodState.OPEN else None


def rolling_counts(
    changes: Iterable[tuple[int, int, int]], first_day: int, last_day: int
) -> dict[int, list[int]]:
    """Window length -> users active in the window that ends on each day from first to last.

    `changes`: (window length, day, change), as `active_rolling.sql` gives them.
    """
    steps: dict[int, list[int]] = {}
    for window, day, change in changes:
        series = steps.setdefault(window, [0] * (last_day - first_day + 1))
        if day <= last_day:
            series[max(day, first_day) - first_day] += change
    return {window: list(accumulate(series)) for window, series in steps.items()}


def rolling_rows(
    days: Iterable[Period],
    counts: Mapping[int, list[int]],
    windows: Iterable[int],
    first_day: int,
    shown: Shown,
) -> Iterator[Row]:
    """Grain: one day and window length.

    A window that begins before the first day of data is `truncated`: what was before is unknown.
    """
    lengths = tuple(windows)
    for day in days:
        for window in lengths:
            series = counts.get(window)
            users = series[day.start_day - first_day] if series else 0
            yield {
                "day": day.begins,
                "metric": _NAMES.get(window, f"active_{window}"),
                "window_days": window,
                "users": shown.value(day, users),
                "truncated": day.start_day - window + 1 < first_day,
                "state": day.state.value,
            }


def calendar_rows(
    grain: str, periods: Iterable[Period], users: Mapping[int, int], shown: Shown
) -> Iterator[Row]:
    """Grain: one calendar period. Distinct users active in it; closed without any: 0."""
    for period in periods:
        yield {
            "grain": grain,
            "metric": _NAMES[grain],
            "period_start": period.begins,
            "users": shown.value(period, users.get(period.number, 0)),
            "state": period.state.value,
        }


def stickiness_rows(
    periods: Iterable[Period],
    users: Mapping[int, int],
    user_days: Mapping[int, int],
    shown: Shown,
) -> Iterator[Row]:
    """Grain: one calendar month. Average DAU over all its days, divided by its MAU."""
    for period in periods:
        numbers = (user_days.get(period.number, 0), users.get(period.number, 0))
        yield {
            "period_start": period.begins,
            **_stickiness(period, *numbers, period.days, shown),
            "state": period.state.value,
        }


def rolling_stickiness_rows(
    days: Iterable[Period],
    counts: Mapping[int, list[int]],
    first_day: int,
    window: int,
    shown: Shown,
) -> Iterator[Row]:
    """Grain: one day. Mean DAU of the days of the window that ends with it, divided by its users.

    `counts`: as `rolling_counts` gives them for windows of 1 day and of `window` days.
    """
    daily = counts.get(1)
    users = counts.get(window)
    so_far = [0, *accumulate(daily or ())]
    for day in days:
        place = day.start_day - first_day
        user_days = so_far[place + 1] - so_far[max(0, place + 1 - window)] if daily else 0
        yield {
            "day": day.begins,
            **_stickiness(day, user_days, users[place] if users else 0, window, shown),
            "truncated": place + 1 < window,
            "state": day.state.value,
        }


def lifecycle_rows(
    grain: str,
    periods: Iterable[Period],
    counts: Mapping[int, tuple[int, int, int, int]],
    shown: Shown,
) -> Iterator[Row]:
    """Grain: one calendar period.

    new + returning + resurrecting = active; dormant = active before less returning.
    `counts`: period number -> active, returning, new, resurrecting users.
    """
    nobody = (0, 0, 0, 0)
    for period in periods:
        active, returning, new, resurrecting = counts.get(period.number, nobody)
        before = counts.get(period.number - 1, nobody)[0]
        values = {
            "active": active,
            "new": new,
            "returning": returning,
            "resurrecting": resurrecting,
            "dormant": before - returning,
        }
        yield {
            "grain": grain,
            "period_start": period.begins,
            **{name: shown.value(period, value) for name, value in values.items()},
            "state": period.state.value,
        }


def histogram_rows(
    grain: str, span: Period, counts: Mapping[int, int], shown: Shown
) -> Iterator[Row]:
    """Grain: one number of active periods, from 1 to the largest seen, without gaps."""
    for number in range(1, max(counts, default=0) + 1):
        yield {
            "grain": grain,
            "active_periods": number,
            "users": shown.value(span, counts.get(number, 0)),
            "state": span.state.value,
        }


def silence_rows(
    days: Iterable[tuple[Period, Period]], counts: Mapping[int, tuple[int, int]], shown: Shown
) -> Iterator[Row]:
    """Grain: one day. Who came back on it after the silence, and who of them was active again.

    `days`: each day with the span in which its users may be active again, which closes later.
    """
    for day, span in days:
        users, retained = counts.get(day.start_day, (0, 0))
        yield {
            "day": day.begins,
            "users": shown.value(day, users),
            "state": day.state.value,
            "retained": shown.value(span, retained),
            "rate": shown.value(span, ratio(retained, users)),
            "retained_state": span.state.value,
        }


def ratio(part: int, whole: int) -> Decimal | None:
    """A quotient at 6 decimals, half-even; None without a base."""
    if whole == 0:
        return None
    # The default context has 28 digits, enough for an exact tie at the seventh decimal.
    return (Decimal(part) / Decimal(whole)).quantize(_SIX_PLACES, rounding=ROUND_HALF_EVEN)


def _stickiness(period: Period, user_days: int, users: int, days: int, shown: Shown) -> Row:
    values = {
        "user_days": user_days,
        "days": days,
        "average_dau": ratio(user_days, days),
        "users": users,
        "rate": ratio(user_days, days * users),
    }
    return {name: shown.value(period, value) for name, value in values.items()} | {"days": days}
