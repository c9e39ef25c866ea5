"""Statements that rules make: words and references to figures, no digits. Pure.

Contract: docs/insights-rules.md, "How they speak"; docs/insights-wording.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from growth_pipeline.insights.facts import Direction, Fact, Kind
from growth_pipeline.insights.figures import fields_of

# Their values are negative: they improve and worsen, and never rise or fall.
SIGNED_LOSSES: Final = frozenset({"mrr_churn", "mrr_contraction", "mrr_paused"})
CLEAR: Final = (Direction.UP, Direction.DOWN)
_VERBS: Final = {Direction.UP: "rose", Direction.DOWN: "fell"}
_VERBS_OF_LOSSES: Final = {Direction.UP: "improved", Direction.DOWN: "worsened"}
_SIDES: Final = {Direction.UP: "above", Direction.DOWN: "below"}
_WAYS: Final = {Direction.UP: "upward", Direction.DOWN: "downward"}


def text_of_move(fact: Fact, drivers: Sequence[str] = ()) -> str:
    """A fact that clearly moved: by how much, to what, and what drove it or how usual it is."""
    name, way = fact.fact_id, fact.before.direction
    if is_loss(fact):
        told = (
            f"{{{name}:label}} {_VERBS_OF_LOSSES[way]} from {{{name}:before}} to {{{name}:value}}"
        )
    else:
        size = f"{{{name}:{_size(fact, '')}}}"
        told = f"{{{name}:label}} {_VERBS[way]} by {size} to {{{name}:value}}"
    if drivers:
        return f"{told}, driven by {' and '.join(_driver(fact, one) for one in drivers)}."
    if fact.usual.direction is way:
        return f"{told}."
    return f"{told}{_beside_usual(fact)}."


def text_of_usual(fact: Fact) -> str:
    """A fact that is clearly off its usual: what it is, and by how much."""
    return f"{_level(fact)}{_beside_usual(fact)}."


def text_of_trend(fact: Fact, way: Direction) -> str:
    """A fact with a clear trend, and where it stands."""
    return f"{_level(fact)}, and its recent trend is {_WAYS[way]}."


def text_of_level(fact: Fact) -> str:
    """A fact of which only the value may be told."""
    return f"{_level(fact)}."


def is_loss(fact: Fact) -> bool:
    """Whether its values are negative, so that more is better."""
    return fact.series.family in SIGNED_LOSSES


def _level(fact: Fact) -> str:
    return f"{{{fact.fact_id}:label}} stood at {{{fact.fact_id}:value}}"


def _beside_usual(fact: Fact) -> str:
    """How a flow, a rate or a day stands to its usual, where that may be told."""
    name, way = fact.fact_id, fact.usual.direction
    if not has_usual(fact):
        return ""
    when = f"the usual {fact.series.grain}"
    if way is Direction.FLAT:
        return f", with no clear change against {when}"
    if way not in CLEAR:
        return ""
    if is_loss(fact):
        return f", against {{{name}:usual}} in {when}"
    return f", {{{name}:{_size(fact, 'usual_')}}} {_SIDES[way]} {when}"


def has_usual(fact: Fact) -> bool:
    """Whether the mean of the four periods before is told: a stock goes on from the last one."""
    return fact.series.kind is not Kind.STOCK or fact.series.grain == "day"


def _driver(fact: Fact, driver: str) -> str:
    """A driver; its value where that is what it added, so not of the parts of a flow."""
    if fact.series.kind is Kind.STOCK:
        return f"{{{driver}:label}} of {{{driver}:value}}"
    return f"{{{driver}:label}}"


def _size(fact: Fact, prefix: str) -> str:
    """Percent where there is one; of a rate, points."""
    named = f"{prefix}percent_size"
    if fact.series.kind is Kind.RATE or named not in fields_of(fact):
        return f"{prefix}size"
    return named
