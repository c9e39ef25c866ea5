"""Tallies of a funnel as rows: one for each stage, and value of the breakdown. Pure.

Contract: docs/metrics.md, "Funnels".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from typing import Any

from growth_pipeline.cohorts.funnel.definition import FunnelDefinition
from growth_pipeline.cohorts.funnel.measure import Measured, Tally

Row = dict[str, Any]
_SIX_PLACES = Decimal("0.000001")
_MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class FunnelResult:
    """An answer. `totals`: figures of all units. `rows`: grain one stage and value, all first."""

    definition: Row
    as_of: datetime
    totals: Row
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def totals_of(measured: Measured, definition: FunnelDefinition) -> Row:
    """Units, who entered, and the rate from the first stage to the last."""
    entering, last = measured.whole.counts[0], measured.whole.counts[-1]
    never = max(0, measured.units - entering - measured.whole.open)
    return {
        "units": measured.units,
        "entering": entering,
        "never_entering": never,
        "open": measured.whole.open,
        "converted": last,
        "overall_rate": rate(last, entering, definition.empty_rate),
    }


def rows_of(measured: Measured, definition: FunnelDefinition) -> Iterator[Row]:
    """Grain: one stage, of all units and then of each value of the breakdown in its order."""
    yield from _stages(measured.whole, definition, {})
    name = definition.breakdown or definition.segment
    if name is None:
        return
    values = sorted(measured.by_value, key=lambda value: (value is None, value or ""))
    for value in values:
        yield from _stages(measured.by_value[value], definition, {"value": value})


def _stages(tally: Tally, definition: FunnelDefinition, head: Row) -> Iterator[Row]:
    empty = definition.empty_rate
    for place, stage in enumerate(definition.stages):
        count = tally.counts[place]
        before = tally.counts[place - 1] if place else None
        yield {
            "breakdown": (definition.breakdown or definition.segment) if head else None,
            "value": head.get("value"),
            "stage": place + 1,
            "step": stage.name,
            "count": count,
            "from_first": rate(count, tally.counts[0], empty),
            "from_previous": None if before is None else rate(count, before, empty),
            "dropoff": 0 if before is None else before - count,
            "median_seconds": median_seconds(tally.times[place]),
        }


def rate(part: int, whole: int, empty_rate: str) -> Decimal | None:
    """A quotient at 6 decimals, half-even; without a base None, or 0 where that is asked for."""
    if whole == 0:
        return Decimal("0.000000") if empty_rate == "zero" else None
    return Decimal(round(Fraction(part * _MICROSECONDS, whole))).scaleb(-6)


def median_seconds(microseconds: Sequence[int]) -> Decimal | None:
    """The middle of times, of an even number the mean of both; None without any."""
    if not microseconds:
        return None
    ranked = sorted(microseconds)
    middle = len(ranked) // 2
    twice = ranked[middle] + ranked[~middle]
    seconds = Decimal(twice) / (2 * _MICROSECONDS)
    return seconds.quantize(_SIX_PLACES, rounding=ROUND_HALF_EVEN)
