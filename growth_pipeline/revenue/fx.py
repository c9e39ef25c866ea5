"""Exchange rates of days, and amounts converted at them. Pure.

A rate that nobody supplied is missing; another day's is never taken silently.
Contract: docs/metrics.md, "Reporting currency".
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor

from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.core.money import minor_exponent


@dataclass(frozen=True, slots=True)
class Rate:
    """Major units of the reporting currency for one major unit of a currency, and its day."""

    value: Fraction
    on: date


class Rates:
    """Rates into one currency, asked by currency and day.

    `max_age_days`: a day without a rate takes the last one that is not older, with its own date.
    """

    def __init__(
        self, into: str, rows: Iterable[tuple[str, date, Decimal]], *, max_age_days: int = 0
    ) -> None:
        self.into = into
        self._age = timedelta(days=max_age_days)
        held: dict[str, dict[date, Fraction]] = defaultdict(dict)
        for currency, on, value in rows:
            held[currency][on] = Fraction(value)
        self._days = {currency: sorted(days) for currency, days in held.items()}
        self._values = held

    def at(self, currency: str, day: date) -> Rate | None:
        """The rate of a day; 1 for the reporting currency itself; None where it is missing."""
        if currency == self.into:
            return Rate(Fraction(1), day)
        days = self._days.get(currency, [])
        place = bisect_right(days, day) - 1
        if place < 0 or day - days[place] > self._age:
            return None
        return Rate(self._values[currency][days[place]], days[place])

    def converted(self, amount_minor: int | Fraction, currency: str, rate: Rate) -> Fraction:
        """Minor units of the reporting currency, exactly. Raises: UnknownValueError."""
        places = minor_exponent(self.into) - minor_exponent(currency)
        return Fraction(amount_minor) * rate.value * Fraction(10) ** places


def spread(total: int, parts: Sequence[Fraction]) -> list[int]:
    """Whole parts, signed, that sum to a rounded total; the sum of `parts` is less than 2 from it.

    Largest remainder, tie: the earlier first. A part of exactly 0 stays 0.
    Raises: UnknownValueError if all parts are 0 and the total is not.
    """
    whole = [floor(part) for part in parts]
    left = total - sum(whole)
    places = [place for place, part in enumerate(parts) if part]
    by_rest = sorted(places, key=lambda place: whole[place] - parts[place])
    step = 1 if left > 0 else -1
    chosen = by_rest if left > 0 else by_rest[::-1]
    if left and not chosen:
        raise UnknownValueError(f"nothing adds up to {total}", remedy="refresh revenue")
    for number in range(abs(left)):
        whole[chosen[number % len(chosen)]] += step
    return whole
