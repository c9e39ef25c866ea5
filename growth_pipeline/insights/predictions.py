"""What a report expects of the next week, and how its week judged it. Pure.

Contract: docs/insights.md, "Predictions".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from growth_pipeline.insights.claims import Prediction
from growth_pipeline.insights.facts import Digest, Direction, Fact
from growth_pipeline.insights.report.result import Graded

HELD: Final = "held"
NOT_HELD: Final = "did not hold"
UNTOLD: Final = "cannot be told"
MOST: Final = 5
_CLEAR: Final = (Direction.UP, Direction.DOWN, Direction.FLAT)
# What a company steers by: a rule expects these to go on as their trend goes.
_EXPECTED: Final = ("mrr", "customers", "payments", "signups", "wau")


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A prediction as it was kept with its report."""

    report_id: str
    prediction: Prediction
    value_then: Decimal | None


def expected(digest: Digest) -> tuple[Prediction, ...]:
    """What a rule expects of the next week: a clear trend that the last week confirms goes on.

    Shapes: at most five, of the facts that a company steers by; none of facts that are too small.
    """
    found = (
        Prediction(fact_id=fact.fact_id, direction=fact.before.direction, written_by="rule")
        for fact in digest.of_family(*_EXPECTED)
        if _goes_on(fact)
    )
    return tuple(found)[:MOST]


def grade(made: Iterable[Made], digest: Digest) -> tuple[Graded, ...]:
    """Predictions about the week of the digest, each with what came.

    What came is judged like everything else: `flat` is no clear change, and small numbers cannot be
    told. A fact that is gone, or not known yet, cannot be told either.
    """
    return tuple(_graded(one, digest.by_id.get(_id(one)), digest.week_start) for one in made)


def share_held(graded: Sequence[Graded]) -> tuple[int, int]:
    """How many predictions held, of how many that could be told."""
    told = [one for one in graded if one.grade != UNTOLD]
    return sum(one.grade == HELD for one in told), len(told)


def _id(made: Made) -> str:
    return made.prediction.fact_id


def _goes_on(fact: Fact) -> bool:
    if fact.trend is None or fact.series.grain != "week":
        return False
    moved = fact.before.direction
    return moved in (Direction.UP, Direction.DOWN) and moved is fact.trend.direction


def _graded(made: Made, fact: Fact | None, week_start: date) -> Graded:
    if fact and (fact.series.grain, fact.series.last.start) != ("week", week_start):
        fact = None  # another week, or a day of this one, says nothing of it
    came = fact.before.direction if fact else Direction.UNKNOWN
    verdict = UNTOLD
    if came in _CLEAR:
        verdict = HELD if came is made.prediction.direction else NOT_HELD
    return Graded(
        report_id=made.report_id,
        prediction=made.prediction,
        week_start=week_start,
        value_then=made.value_then,
        value_now=fact.value if fact else None,
        came=came,
        grade=verdict,
    )
