"""Which facts rest on enough people to be sent: no cell from 1 to 4, nor what shows one. Pure.

A fact stays here when one of the figures that may be told of it counts 1 to 4 people or payments,
or when it and others that leave would show such a figure by subtraction.
Contract: docs/insights.md, "What is sent".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import Final

from growth_pipeline.insights.facts import Digest, Fact, Point, Unit

SMALLEST_CELL: Final = 5
# Periods whose values shape what is told of the last one: itself, and the four of its baselines.
_TOLD_PERIODS: Final = 5
_DAYS: Final = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")

Count = int | Decimal


@dataclass(frozen=True, slots=True)
class _Sum:
    """Facts of which each follows from all the others. `whole` is the last that is given up."""

    whole: str
    parts: tuple[str, ...]

    @property
    def members(self) -> tuple[str, ...]:
        return (self.whole, *self.parts)


# What follows from what, beside parts that name their whole.
_SUMS: Final = (
    _Sum("active_week", ("new_users", "resurrecting_users", "returning_users")),
    _Sum("active_week", ("returning_users", "dormant_users")),
    _Sum("dau", tuple(f"dau.{day}" for day in _DAYS)),
    _Sum("wau", ("stickiness", "dau")),
)


def sendable(digest: Digest) -> tuple[Fact, ...]:
    """Known facts that no small cell can be read from, in the digest's order."""
    # One that is not known now may still have been a small cell in the weeks before.
    facts = {fact.fact_id: fact for fact in digest.facts if fact.is_known or _is_small(fact)}
    hidden = {fact_id for fact_id, fact in facts.items() if _is_small(fact)}
    hidden |= set(_nearly_the_same(facts, hidden))
    whole_sums = [one for one in _SUMS if facts.keys() >= set(one.members)]
    sums = [*whole_sums, *_sums_of_parts(facts.values())]
    while more := _next_hidden(sums, facts, hidden):
        hidden.add(more)
    return tuple(fact for fact in facts.values() if fact.fact_id not in hidden)


def _next_hidden(sums: Sequence[_Sum], facts: Mapping[str, Fact], hidden: set[str]) -> str | None:
    return next((more for one in sums if (more := _given_up(one, facts, hidden))), None)


def _given_up(one: _Sum, facts: Mapping[str, Fact], hidden: set[str]) -> str | None:
    """The next fact of a sum that may not leave either, so that its hidden ones stay unknown.

    What the hidden ones are together can be reckoned; so they must be two, and wide together.
    """
    known = [fact_id for fact_id in one.members if fact_id in facts]
    kept_here = [facts[fact_id] for fact_id in known if fact_id in hidden]
    leaving = [fact_id for fact_id in known if fact_id not in hidden]
    if not kept_here or not leaving or _is_wide_together(kept_here):
        return None
    parts = [fact_id for fact_id in leaving if fact_id != one.whole]
    counted = [fact_id for fact_id in parts if _people_at_most(facts[fact_id])]
    if counted:
        return min(counted, key=lambda fact_id: (_people_at_most(facts[fact_id]), fact_id))
    return one.whole if one.whole in leaving else None


def _is_wide_together(facts: Sequence[Fact]) -> bool:
    if len(facts) == 1:
        return False
    told = [[_people(point, fact.series.unit) or 0 for point in _told(fact)] for fact in facts]
    periods = max(len(one) for one in told)
    padded = [[Decimal(0)] * (periods - len(one)) + [Decimal(n) for n in one] for one in told]
    return not any(_is_cell(sum(column, Decimal(0))) for column in zip(*padded, strict=True))


def _people_at_most(fact: Fact) -> Count:
    return max((_people(point, fact.series.unit) or 0 for point in _told(fact)), default=0)


def _sums_of_parts(facts: Iterable[Fact]) -> list[_Sum]:
    parts: dict[str, list[str]] = {}
    for fact in facts:
        if fact.series.part_of is not None:
            parts.setdefault(fact.series.part_of, []).append(fact.fact_id)
    return [_Sum(whole, tuple(names)) for whole, names in parts.items()]


def _nearly_the_same(facts: Mapping[str, Fact], hidden: set[str]) -> Iterator[str]:
    """Facts of which each counts some of the one before, and leaves out one to four of them."""
    for chain in (["mau", "wau"], *_funnels(facts)):
        leaving = [
            facts[fact_id] for fact_id in chain if fact_id in facts and fact_id not in hidden
        ]
        for wider, narrower in pairwise(leaving):
            if _differ_by_a_cell(wider, narrower):
                yield narrower.fact_id


def _funnels(facts: Mapping[str, Fact]) -> list[list[str]]:
    """Stages of each funnel in the digest's order, those who entered first."""
    chains: dict[str, list[str]] = {}
    for fact_id in facts:
        head, _, stage = fact_id.rpartition(".")
        if head.startswith("funnel."):
            chain = chains.setdefault(head, [])
            chain.insert(0 if stage == "entered" else len(chain), fact_id)
    return list(chains.values())


def _differ_by_a_cell(wider: Fact, narrower: Fact) -> bool:
    pairs = zip(reversed(_told(wider)), reversed(_told(narrower)), strict=False)
    counts = [
        (_counted(one, wider.series.unit), _counted(other, narrower.series.unit))
        for one, other in pairs
    ]
    return any(_is_cell(a - b) for a, b in counts if a is not None and b is not None)


def _counted(point: Point, unit: Unit) -> Count | None:
    return point.numerator if unit is Unit.RATE else point.value


def _is_small(fact: Fact) -> bool:
    """Whether one of its figures rests on 1 to 4, or on nobody knows how many."""
    unit = fact.series.unit
    if any(_is_unfounded(point, unit) for point in _told(fact)):
        return True
    cells = [cell for point in _told(fact) for cell in _cells(point, unit)]
    if unit in (Unit.COUNT, Unit.AVERAGE):
        cells += [fact.before.baseline, fact.usual.baseline]
    return any(_is_cell(cell) for cell in cells)


def _is_unfounded(point: Point, unit: Unit) -> bool:
    """Money or a rate of which nobody said how many it rests on."""
    if unit in (Unit.COUNT, Unit.AVERAGE) or not point.value:
        return False
    return point.sample is None and point.denominator is None


def _cells(point: Point, unit: Unit) -> list[Count | None]:
    told: list[Count | None] = [point.sample, point.numerator, point.denominator]
    if point.numerator is not None and point.denominator is not None:
        told.append(point.denominator - point.numerator)
    if unit in (Unit.COUNT, Unit.AVERAGE):
        told.append(point.value)
    return told


def _people(point: Point, unit: Unit) -> Count | None:
    """How many a figure rests on, as far as that was told."""
    told = [point.value if unit in (Unit.COUNT, Unit.AVERAGE) else None, point.sample]
    known = [_size(count) for count in (*told, point.denominator) if count is not None]
    return min(known, default=None)


def _is_cell(count: Count | None) -> bool:
    return count is not None and 0 < _size(count) < SMALLEST_CELL


def _size(count: Count) -> Count:
    return -count if count < 0 else count


def _told(fact: Fact) -> Sequence[Point]:
    return fact.series.points[-_TOLD_PERIODS:]
