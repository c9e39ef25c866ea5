"""When a rule says nothing because another says it, or because it is no news. Pure.

Contract: docs/insights-rules.md, "Nothing twice".
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from math import sqrt
from typing import Final, TypeAlias

from growth_pipeline.insights.change import FEW
from growth_pipeline.insights.facts import Comparison, Digest, Direction, Fact
from growth_pipeline.insights.rules.statements import CLEAR

Unless: TypeAlias = Callable[[Fact, Digest], bool]
_MOST_DRIVERS: Final = 2


def never(fact: Fact, digest: Digest) -> bool:
    """Nothing else says it."""
    del fact, digest
    return False


def any_of(*reasons: Unless) -> Unless:
    """One of some reasons holds."""
    return lambda fact, digest: any(reason(fact, digest) for reason in reasons)


def told_of(direction: Direction, *families: str) -> Unless:
    """Another fact of these families and of the same currency clearly moved this way."""

    def holds(fact: Fact, digest: Digest) -> bool:
        return any(
            other.before.direction is direction
            for other in digest.of_family(*families)
            if other.series.grain == "week"
            and other.fact_id != fact.fact_id
            and other.series.currency == fact.series.currency
        )

    return holds


def told_as_driver(fact: Fact, digest: Digest) -> bool:
    """The fact is named as a driver of what it is part of."""
    whole = digest.by_id.get(fact.series.part_of or "")
    return whole is not None and fact.fact_id in main_drivers(whole)


def in_range_of_before(fact: Fact, digest: Digest) -> bool:
    """An earlier week was as low, and one as high: so it comes and goes, as with monthly bills."""
    del digest
    earlier = [point.value for point in fact.series.points[:-1] if point.value is not None]
    return fact.value is not None and min(earlier) <= fact.value <= max(earlier)


def silent_too(*families: str) -> Unless:
    """Another fact of these families stands at nothing, and that is told."""

    def holds(fact: Fact, digest: Digest) -> bool:
        others = digest.of_family(*families)
        return any(is_silent(other) for other in others if other.fact_id != fact.fact_id)

    return holds


def is_silent(fact: Fact) -> bool:
    """A count that is nothing after weeks in which it was not few."""
    return fact.value == 0 and level_before(fact) >= FEW


def level_before(fact: Fact) -> int | Decimal:
    """Mean of the four periods before, else the period before; 0 where neither is known."""
    return fact.usual.baseline or fact.before.baseline or 0


def main_drivers(fact: Fact) -> tuple[str, ...]:
    """Drivers that are named: the largest two that moved it this way, if the second is not small.

    The second is named if it is at least half as large as the first.
    """
    change = fact.before.change
    if fact.before.direction not in CLEAR or not change:
        return ()
    same = [
        one for one in fact.drivers if one.contribution and (one.contribution > 0) == (change > 0)
    ]
    sizes = [abs(Decimal(one.contribution)) for one in same]
    count = _MOST_DRIVERS if len(same) > 1 and 2 * sizes[1] >= sizes[0] else 1
    return tuple(one.fact_id for one in same[:count])


def z_of_counts(comparison: Comparison) -> float:
    """Deviations of chance between two counts of users; 0 where that cannot be said."""
    if comparison.change is None or comparison.baseline is None:
        return 0.0
    both = 2 * Decimal(comparison.baseline) + comparison.change
    return float(comparison.change) / sqrt(both) if both > 0 else 0.0
