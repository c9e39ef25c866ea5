"""How a series moved: baselines, noise bounds, trends and drivers. Pure.

Which words may be said of it follows from the directions made here; the words are elsewhere.
Contract: docs/metrics.md, "Trend and week over week"; docs/insights-rules.md, "Comparisons".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import combinations, pairwise
from math import sqrt
from statistics import median
from typing import Final

from growth_pipeline.insights.facts import (
    Comparison,
    Direction,
    Driver,
    Fact,
    Kind,
    Point,
    Series,
    State,
    Trend,
    Unit,
    Value,
)

FEW: Final = 20
USUAL_PERIODS: Final = 4
TREND_PERIODS: Final = 8
FEWEST_OF_TREND: Final = 4
_FLOW_SHARE: Final = Decimal("0.10")
_STOCK_SHARE: Final = Decimal("0.05")
_LEAST_Z: Final = 2.0
_LEAST_TAU: Final = Decimal("0.5")
_MAD_TO_DEVIATION: Final = Decimal("1.4826")
_FEWEST_OF_SPREAD: Final = 4
_PLACES: Final = Decimal("0.000001")
_HUNDREDTHS: Final = Decimal("0.01")
_WEEK: Final = timedelta(days=7)


def facts_of(series: Sequence[Series]) -> tuple[Fact, ...]:
    """Each series with its comparisons, trend and drivers, in the order given.

    Drivers are told only where the parts add up to the change of the whole, exactly.
    """
    compared = {one.fact_id: compare(one) for one in series}
    return tuple(
        Fact(
            series=one,
            before=compared[one.fact_id][0],
            usual=compared[one.fact_id][1],
            trend=trend_of(one),
            drivers=drivers_of(
                one,
                compared[one.fact_id][0].change,
                [part for part in series if part.part_of == one.fact_id],
                {name: before.change for name, (before, _) in compared.items()},
            ),
        )
        for one in series
    )


def compare(series: Series) -> tuple[Comparison, Comparison]:
    """The last period against the one before, and against the mean of the four before.

    A baseline is unknown unless all its periods are closed and known, and follow one another.
    """
    earlier = series.points[:-1]
    before = earlier[-1] if earlier and _follow(series, series.points[-2:]) else None
    usual = None
    if len(earlier) >= USUAL_PERIODS and _follow(series, series.points[-USUAL_PERIODS - 1 :]):
        usual = _mean(series, earlier[-USUAL_PERIODS:])
    return _compare(series, before), _compare(series, usual)


def trend_of(series: Series) -> Trend | None:
    """Median slope and Kendall's tau (a) of the last eight periods; None where that says nothing.

    Source: docs/metrics.md, "Trend and week over week".
    """
    points = series.points[-TREND_PERIODS:]
    while points and not _known(points[0]):
        points = points[1:]
    if len(points) < FEWEST_OF_TREND or not all(map(_known, points)):
        return None
    if not _follow(series, points) or any(_is_few(series, point) for point in points):
        return None
    pairs = list(combinations([Decimal(point.value or 0) for point in points], 2))
    places = list(combinations(range(len(points)), 2))
    slopes = [(now - then) / (n - m) for (then, now), (m, n) in zip(pairs, places, strict=True)]
    balance = sum((now > then) - (now < then) for then, now in pairs)
    tau = (Decimal(balance) / len(pairs)).quantize(_HUNDREDTHS, ROUND_HALF_EVEN)
    exact = Decimal(balance) / len(pairs)
    direction = Direction.FLAT
    if abs(exact) >= _LEAST_TAU:
        direction = Direction.UP if exact > 0 else Direction.DOWN
    slope = Decimal(median(slopes)).quantize(_PLACES, ROUND_HALF_EVEN)
    return Trend(slope=slope, tau=tau, direction=direction, periods=len(points))


def drivers_of(
    whole: Series,
    change: Value,
    parts: Sequence[Series],
    changes: Mapping[str, Value],
) -> tuple[Driver, ...]:
    """Parts of a change, the largest first; none unless they are all known and add up to it.

    A flow is what moved a stock, so it contributes itself; parts of a flow contribute their change.
    """
    told: list[tuple[str, int | Decimal]] = []
    for part in parts:
        moved = part.last.value
        if not (whole.kind is Kind.STOCK and part.kind is Kind.FLOW):
            moved = changes[part.fact_id]
        if moved is None or part.last.start != whole.last.start:
            return ()
        told.append((part.fact_id, part.sign * moved))
    if not told or change is None or sum(moved for _, moved in told) != change:
        return ()
    ranked = sorted(told, key=lambda one: (-abs(Decimal(one[1])), one[0]))
    return tuple(
        Driver(
            fact_id=fact_id,
            contribution=moved,
            share=None if change == 0 else _quotient(moved, change),
        )
        for fact_id, moved in ranked
    )


def _known(point: Point) -> bool:
    return point.state is State.CLOSED and point.value is not None


def _follow(series: Series, points: Sequence[Point]) -> bool:
    """Whether each period begins where the one before ends; days: one weekday of each week."""
    if series.grain == "day":
        return all(later.start - earlier.start == _WEEK for earlier, later in pairwise(points))
    return all(later.start == earlier.end for earlier, later in pairwise(points))


def _mean(series: Series, points: Sequence[Point]) -> Point | None:
    """The four periods as one: the mean; of rates all their cases together."""
    if not all(map(_known, points)):
        return None
    first, last = points[0].start, points[-1].end
    samples = _total([point.sample for point in points])
    if series.kind is Kind.RATE:
        numerator = _total([point.numerator for point in points])
        denominator = _total([point.denominator for point in points])
        if numerator is None or not denominator:
            return None
        rate = _quotient(numerator, denominator)
        return Point(first, last, rate, samples, numerator, denominator)
    total = sum((Decimal(point.value or 0) for point in points), Decimal(0))
    mean: Value = total / len(points)
    if series.unit is Unit.MINOR:
        mean = int((total / len(points)).quantize(Decimal(1), ROUND_HALF_EVEN))
    return Point(first, last, mean, None if samples is None else samples // len(points))


def _total(counts: Sequence[int | None]) -> int | None:
    return None if None in counts else sum(filter(None, counts))


def _compare(series: Series, baseline: Point | None) -> Comparison:
    now = series.last
    if baseline is None or not _known(now) or not _known(baseline):
        value = None if baseline is None else baseline.value
        return Comparison(
            baseline=value, change=None, percent=None, z=None, direction=Direction.UNKNOWN
        )
    change = _difference(now.value, baseline.value)
    if _is_few(series, now) or _is_few(series, baseline):
        few = Direction.TOO_FEW
        return Comparison(
            baseline=baseline.value, change=change, percent=None, z=None, direction=few
        )
    base = _size(baseline.value)
    percent = _quotient(change, base) if base else None
    z = _Z_OF[series.kind](series, now, baseline)
    return Comparison(
        baseline=baseline.value,
        change=change,
        percent=percent,
        z=z,
        direction=_direction(series, change, base, z),
    )


def _difference(now: Value, before: Value) -> int | Decimal:
    after, earlier = now or 0, before or 0
    if isinstance(after, int) and isinstance(earlier, int):
        return after - earlier
    return Decimal(after) - Decimal(earlier)


def _size(value: Value) -> Decimal:
    return abs(Decimal(value or 0))


def _quotient(part: int | Decimal, whole: int | Decimal) -> Decimal:
    return (Decimal(part) / Decimal(whole)).quantize(_PLACES, ROUND_HALF_EVEN)


def _is_few(series: Series, point: Point) -> bool:
    """Whether a period rests on too few cases for any share or direction."""
    if series.kind is Kind.RATE:
        # Without its cases a rate says nothing of chance.
        if point.numerator is None or point.denominator is None or point.denominator < FEW:
            return True
    elif series.unit in (Unit.COUNT, Unit.AVERAGE) and _size(point.value) < FEW:
        return True
    return point.sample is not None and point.sample < FEW


def _direction(series: Series, change: int | Decimal, base: Decimal, z: float | None) -> Direction:
    if change == 0 or not _is_notable(series, change, base, z):
        return Direction.FLAT
    return Direction.UP if change > 0 else Direction.DOWN


def _is_notable(series: Series, change: int | Decimal, base: Decimal, z: float | None) -> bool:
    least = _STOCK_SHARE if series.kind is Kind.STOCK else _FLOW_SHARE
    if not base and series.kind is not Kind.RATE:  # from nothing, and not few now
        return True
    if abs(Decimal(change)) < least * base:  # by itself, not by the rounded percent
        return False
    if series.kind is Kind.STOCK:
        return True
    if series.unit is Unit.MINOR:
        return _leaves_spread(series, change)
    return z is not None and abs(z) >= _LEAST_Z


def _leaves_spread(series: Series, change: int | Decimal) -> bool:
    """Whether money moved by two deviations of the earlier periods, told by their median."""
    earlier = [Decimal(point.value or 0) for point in series.points[:-1] if _known(point)]
    if len(earlier) < _FEWEST_OF_SPREAD:
        return False
    middle = median(earlier)
    deviation = _MAD_TO_DEVIATION * median(abs(value - middle) for value in earlier)
    return abs(Decimal(change)) >= 2 * deviation


def _z_of_stock(series: Series, now: Point, baseline: Point) -> float | None:
    del series, now, baseline
    return None


def _z_of_flow(series: Series, now: Point, baseline: Point) -> float | None:
    if series.unit is not Unit.COUNT:
        return None
    after, before = float(now.value or 0), float(baseline.value or 0)
    return (after - before) / sqrt(after + before) if after + before > 0 else 0.0


def _z_of_rate(series: Series, now: Point, baseline: Point) -> float | None:
    """Of two proportions, by their common rate; None without their cases."""
    del series
    cases = (now.numerator, now.denominator, baseline.numerator, baseline.denominator)
    if None in cases or not now.denominator or not baseline.denominator:
        return None
    hits, all_now, hits_before, all_before = (float(case or 0) for case in cases)
    common = (hits + hits_before) / (all_now + all_before)
    spread = common * (1 - common) * (1 / all_now + 1 / all_before)
    return (hits / all_now - hits_before / all_before) / sqrt(spread) if spread > 0 else 0.0


_Z_OF: Final[Mapping[Kind, Callable[[Series, Point, Point], float | None]]] = {
    Kind.STOCK: _z_of_stock,
    Kind.FLOW: _z_of_flow,
    Kind.RATE: _z_of_rate,
}
