"""Ways in which rules speak of a digest. Pure.

Each makes a function that yields the claims of a rule. Contract: docs/insights-rules.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final

from growth_pipeline.insights.change import FEW, TREND_PERIODS
from growth_pipeline.insights.claims import Claim, Severity
from growth_pipeline.insights.facts import Digest, Direction, Fact, Kind, Unit
from growth_pipeline.insights.rules.rule import Rule, Speak
from growth_pipeline.insights.rules.silence import (
    Unless,
    is_silent,
    level_before,
    main_drivers,
    never,
    z_of_counts,
)
from growth_pipeline.insights.rules.statements import (
    CLEAR,
    has_usual,
    text_of_level,
    text_of_move,
    text_of_trend,
    text_of_usual,
)

_LEAST_Z: Final = 2
_LOW_BEFORE: Final = 2 * FEW
_TREND_SHARE: Final = {Kind.STOCK: Decimal("0.05")}
_FURTHER: Final = Decimal("0.9")


def moved(direction: Direction, *families: str, unless: Unless = never) -> Speak:
    """Speaks of facts that clearly moved this way since the week before, with their drivers."""

    def speak(rule: Rule, digest: Digest) -> Iterator[Claim]:
        for fact in _of_weeks(digest, families):
            if fact.before.direction is direction and not unless(fact, digest):
                yield from _moves(rule, fact)

    return speak


def unusual(direction: Direction, *families: str, unless: Unless = never) -> Speak:
    """Speaks of facts that are clearly this side of their usual, where `moved` does not."""

    def speak(rule: Rule, digest: Digest) -> Iterator[Claim]:
        for fact in _of_weeks(digest, families):
            if fact.usual.direction is not direction or fact.before.direction is direction:
                continue
            if not unless(fact, digest):
                yield rule.claim(fact, text_of_usual(fact))

    return speak


def low_on_a_day(*families: str, unless: Unless = never) -> Speak:
    """Speaks of days clearly below the same weekday of the weeks before, beyond chance."""

    def speak(rule: Rule, digest: Digest) -> Iterator[Claim]:
        for fact in digest.of_family(*families):
            if fact.series.grain != "day" or fact.usual.direction is not Direction.DOWN:
                continue
            if z_of_counts(fact.usual) <= -_LEAST_Z and not unless(fact, digest):
                yield rule.claim(fact, text_of_usual(fact))

    return speak


def trending(direction: Direction, *families: str) -> Speak:
    """Speaks of facts with a clear trend of some size, where nothing else is clear of them."""

    def speak(rule: Rule, digest: Digest) -> Iterator[Claim]:
        for fact in _of_weeks(digest, families):
            is_told = has_usual(fact) and fact.usual.direction is direction
            if is_told or fact.before.direction is not Direction.FLAT:
                continue
            if _trends(fact, direction):
                yield rule.claim(fact, text_of_trend(fact, direction))

    return speak


def low(*families: str) -> Speak:
    """Speaks of counts that are few after weeks in which they were many: only the value is told."""

    def speak(rule: Rule, digest: Digest) -> Iterator[Claim]:
        for fact in _of_weeks(digest, families):
            if fact.value is not None and fact.value < FEW and level_before(fact) >= _LOW_BEFORE:
                yield rule.claim(fact, text_of_level(fact))

    return speak


def silent(*families: str, unless: Unless = never) -> Speak:
    """Speaks of counts that are nothing, after weeks in which they were not few."""

    def speak(rule: Rule, digest: Digest) -> Iterator[Claim]:
        for fact in digest.of_family(*families):
            if is_silent(fact) and not unless(fact, digest):
                yield rule.claim(fact, text_of_level(fact))

    return speak


def some(*families: str) -> Speak:
    """Speaks of counts that should be nothing and are not."""

    def speak(rule: Rule, digest: Digest) -> Iterator[Claim]:
        for fact in digest.of_family(*families):
            if fact.value:
                yield rule.claim(fact, text_of_level(fact))

    return speak


def stages(direction: Direction) -> Speak:
    """Speaks of funnels: who began, and the stages where it changed, not those that follow suit."""

    def speak(rule: Rule, digest: Digest) -> Iterator[Claim]:
        told: dict[str, Decimal] = {}
        for fact in _of_weeks(digest, ("funnel",)):
            if fact.before.direction is not direction:
                continue
            funnel, left = fact.fact_id.rpartition(".")[0], 1 + (fact.before.percent or 0)
            if fact.series.kind is Kind.RATE:
                if funnel in told and not _falls_further(direction, left, told[funnel]):
                    continue
                told[funnel] = Decimal(left)
            yield from _moves(rule, fact)

    return speak


def _falls_further(direction: Direction, left: int | Decimal, told: Decimal) -> bool:
    return direction is Direction.DOWN and left <= _FURTHER * told


def _moves(rule: Rule, fact: Fact) -> Iterator[Claim]:
    """The claim of a move. What shows no more than usual is told softly, or not if it is good."""
    is_doubtful = _is_doubtful(fact)
    if rule.severity is Severity.GOOD:
        if has_usual(fact) and fact.usual.direction is _against(fact.before.direction):
            return
        is_doubtful = False
    drivers = main_drivers(fact)
    yield rule.claim(fact, text_of_move(fact, drivers), *drivers, is_soft=is_doubtful)


def _is_doubtful(fact: Fact) -> bool:
    """Whether a move went back to the usual, or is a count of users that chance moves as far."""
    if has_usual(fact):
        usual = fact.usual.direction
        return usual is Direction.FLAT or usual is _against(fact.before.direction)
    if fact.series.unit is Unit.MINOR or fact.series.currency:
        return False
    return abs(z_of_counts(fact.before)) < _LEAST_Z


def _against(direction: Direction) -> Direction:
    return CLEAR[1 - CLEAR.index(direction)]


def _trends(fact: Fact, direction: Direction) -> bool:
    trend = fact.trend
    if trend is None or trend.direction is not direction or trend.periods < TREND_PERIODS:
        return False
    least = _TREND_SHARE.get(fact.series.kind, Decimal("0.1")) * abs(Decimal(fact.value or 0))
    return abs(trend.slope) * (trend.periods - 1) >= least


def _of_weeks(digest: Digest, families: Iterable[str]) -> Iterator[Fact]:
    return (fact for fact in digest.of_family(*families) if fact.series.grain == "week")
