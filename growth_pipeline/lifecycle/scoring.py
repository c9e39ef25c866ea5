"""The engagement score `engagement@1`: 0 to 100, per user and local day, with what adds what. Pure.

Contract: docs/lifecycle.md, "Engagement score"; source of the rule: docs/decisions/0047.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from growth_pipeline.core.errors import UsageError
from growth_pipeline.lifecycle.facts import Band, UserFacts

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Whole = np.ndarray[Any, np.dtype[np.int64]]

ENGAGEMENT_1: Final = "engagement@1"
WINDOW_DAYS: Final = 56
LEAST_DAYS: Final = 7
FREQUENCY_HALF_LIFE: Final = 14
RECENCY_HALF_LIFE: Final = 7
BREADTH_HALF_LIFE: Final = 28
BREADTH_FULL: Final = 4
"""Key features used today that make breadth whole."""
SHARES: Final = (40, 35, 25)
"""Points at most of frequency, recency and breadth; they add up to 100."""
PARAMETERS: Final[Mapping[str, Any]] = {
    "window_days": WINDOW_DAYS,
    "least_days": LEAST_DAYS,
    "full_use": "5 days of 7",
    "half_life_days": {
        "frequency": FREQUENCY_HALF_LIFE,
        "recency": RECENCY_HALF_LIFE,
        "breadth": BREADTH_HALF_LIFE,
    },
    "breadth_full": BREADTH_FULL,
    "points": {"frequency": SHARES[0], "recency": SHARES[1], "breadth": SHARES[2]},
}
_FINE: Final = 10**9  # parts of a point; differences below are noise of floating point
_LOWEST: Final = ((70, Band.HIGH), (40, Band.STEADY), (20, Band.FADING), (1, Band.LOW))


@dataclass(frozen=True, slots=True)
class Score:
    """Grain: one user and local day.

    `value`: 0 to 100. `frequency`, `recency`, `breadth`: 0 to 1. `points`: what each of them adds,
    whole numbers that add up to the value. `young`: the account is younger than the window, so only
    days that it has lived are counted.
    """

    day: date
    value: int
    frequency: float
    recency: float
    breadth: float
    points: tuple[int, int, int]
    young: bool
    band: Band


def score_on(facts: UserFacts, day: date) -> Score:
    """The score at the end of a local day, from what was done up to it.

    Raises: UsageError for a day before the first of which anything is known.
    """
    import numpy as np

    if day < facts.first_on:
        raise UsageError(
            f"nothing is known of the user before {facts.first_on}", remedy="ask for a later day"
        )
    parts = _parts_over(facts, day, day)
    frequency, recency, breadth = (float(part[0]) for part in parts)
    one = tuple(np.asarray([part]) for part in (frequency, recency, breadth))
    value, points = _valued(*one)
    whole = int(value[0])
    return Score(
        day=day,
        value=whole,
        frequency=frequency,
        recency=recency,
        breadth=breadth,
        points=(int(points[0][0]), int(points[1][0]), int(points[2][0])),
        young=(day - facts.first_on).days + 1 < WINDOW_DAYS,
        band=band_of(whole),
    )


def scores_over(facts: UserFacts, first: date, last: date) -> Whole:
    """Scores of the local days from first to last, one each. Days before `first_on` have 0.

    Facts of later days than a day never count for it.
    """
    import numpy as np

    if last < first:
        return np.zeros(0, np.int64)
    if not facts.active_days and not facts.feature_days:
        return np.zeros((last - first).days + 1, np.int64)
    return _valued(*_parts_over(facts, first, last))[0]


def score_many(frame: pl.DataFrame) -> pl.DataFrame:
    """Scores of many users on one day; equal to `score_on`.

    Shapes: needs `active_bits` (int64: bit a is set if the user was active at age a, 0 to 55),
    `last_age` (null: never active), `lived` (days since the first that is known, this one
    included) and `feature_ages` (list: age of the latest use of each key feature). Adds frequency,
    recency, breadth, points_frequency, points_recency, points_breadth, score, young and band.
    """
    import numpy as np
    import polars as pl

    bits: Whole = frame["active_bits"].to_numpy()
    lived = frame["lived"].to_numpy().astype(np.int64)
    sums = np.zeros(len(frame))
    for age, weight in enumerate(_frequency_weights()):
        sums += ((bits >> age) & 1) * weight
    frequency = np.minimum(1.0, sums / _full_use(lived))
    last = frame["last_age"].cast(pl.Float64).fill_null(np.inf).to_numpy()
    recency = np.exp2(-last / RECENCY_HALF_LIFE)
    breadth = np.minimum(1.0, _feature_sums(frame) / BREADTH_FULL)
    value, points = _valued(frequency, recency, breadth)
    bands = np.array([str(band_of(one)) for one in range(101)])
    return frame.with_columns(
        frequency=frequency,
        recency=recency,
        breadth=breadth,
        points_frequency=points[0],
        points_recency=points[1],
        points_breadth=points[2],
        score=value,
        young=lived < WINDOW_DAYS,
        band=pl.Series(bands[value], dtype=pl.String),
    )


def days_since(days: Sequence[date], first: date, count: int) -> Floats:
    """Days since the latest of some days, on each of `count` days from first on; inf before it.

    `days` ascend; those after a day never count for it.
    """
    import numpy as np

    latest: Floats = np.full(count, -np.inf)
    places = _places(days, first)
    earlier = places[places <= 0]
    if len(earlier):
        latest[0] = earlier[-1]
    inside = places[(places > 0) & (places < count)]
    latest[inside] = inside
    reached: Floats = np.maximum.accumulate(latest)
    today: Floats = np.arange(count, dtype=np.float64)
    return today - reached


def band_of(score: int) -> Band:
    """The band of a score: none 0, low 1-19, fading 20-39, steady 40-69, high 70-100."""
    return next((band for lowest, band in _LOWEST if score >= lowest), Band.NONE)


# --- inside --------------------------------------------------------------------------------------


def _frequency_weights() -> Floats:
    import numpy as np

    return np.exp2(-np.arange(WINDOW_DAYS) / FREQUENCY_HALF_LIFE)


def _full_use(lived: Whole) -> Floats:
    """The sum that makes frequency whole: 5 days of 7 over the ages that the account has lived."""
    import numpy as np

    summed = np.cumsum(_frequency_weights())
    places: Whole = np.clip(lived, LEAST_DAYS, WINDOW_DAYS) - 1
    found: Floats = summed[places] * 5 / 7
    return found


def _parts_over(facts: UserFacts, first: date, last: date) -> tuple[Floats, Floats, Floats]:
    """Frequency, recency and breadth of each day from first to last."""
    import numpy as np

    count = (last - first).days + 1
    start = first - timedelta(days=WINDOW_DAYS - 1)
    active = np.zeros(count + WINDOW_DAYS - 1)
    places = _places(facts.active_days, start)
    active[places[(places >= 0) & (places < len(active))]] = 1
    sums = np.convolve(active, _frequency_weights(), mode="valid")
    lived = np.arange(count) + (first - facts.first_on).days + 1
    frequency = np.minimum(1.0, sums / _full_use(lived))
    recency = np.exp2(-days_since(facts.active_days, first, count) / RECENCY_HALF_LIFE)
    uses = np.zeros(count)
    for days in facts.feature_days.values():
        uses += np.exp2(-days_since(days, first, count) / BREADTH_HALF_LIFE)
    return frequency, recency, np.minimum(1.0, uses / BREADTH_FULL)


def _places(days: Sequence[date], first: date) -> Whole:
    import numpy as np

    found = np.fromiter((day.toordinal() for day in days), np.int64, len(days))
    return found - first.toordinal()


def _feature_sums(frame: pl.DataFrame) -> Floats:
    """Sum over key features of 0.5 ^ (age of the latest use / half-life), user by user."""
    import numpy as np
    import polars as pl

    ages = (
        frame.select("feature_ages")
        .with_row_index("row")
        .explode("feature_ages")
        .drop_nulls("feature_ages")
    )
    weights = np.exp2(-ages["feature_ages"].to_numpy() / BREADTH_HALF_LIFE)
    sums = np.zeros(len(frame))
    np.add.at(sums, ages["row"].cast(pl.Int64).to_numpy(), weights)
    return sums


def _valued(frequency: Floats, recency: Floats, breadth: Floats) -> tuple[Whole, list[Whole]]:
    """Scores, and the whole points of the three parts that add up to them.

    Everything is counted in billionths of a point, so that noise of floating point rounds nothing.
    """
    import numpy as np

    parts = (frequency, recency, breadth)
    raw = sum(part * share for part, share in zip(parts, SHARES, strict=True))
    fine = np.rint(raw * _FINE).astype(np.int64)
    value = fine // _FINE
    rest = fine - value * _FINE
    value += (2 * rest > _FINE) | ((2 * rest == _FINE) & (value % 2 == 1))
    return value, _largest_remainder(value, parts)


def _largest_remainder(value: Whole, parts: tuple[Floats, Floats, Floats]) -> list[Whole]:
    """Whole points: rounded down, then one more to the largest remainders until they add up."""
    import numpy as np

    fine = np.stack(
        [
            np.rint(part * share * _FINE).astype(np.int64)
            for part, share in zip(parts, SHARES, strict=True)
        ]
    )
    points = fine // _FINE
    missing = value - points.sum(axis=0)
    order = np.argsort(-(fine - points * _FINE), axis=0, kind="stable")
    for rank in range(len(SHARES)):
        np.put_along_axis(
            points,
            order[rank : rank + 1],
            np.take_along_axis(points, order[rank : rank + 1], 0) + (missing > rank),
            axis=0,
        )
    return list(points)
