"""What Stripe changed without an error: columns suddenly emptier, statuses never seen. Pure.

An adapter refuses an object that lacks a promised field. This watches the others, which may be null
and are filled at a steady rate. Contract: docs/stripe.md, "API versions".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import lgamma, log
from typing import Final, NamedTuple

from growth_pipeline.billing.fold import RANKS

# Known, but without a rank: an appealed dispute may end either way.
_UNRANKED: Final = {"dispute": ("appeal_needs_response", "appeal_under_review")}
# Newest objects that are judged, in days; the short windows see a new version soon, the long ones
# see enough of a small company. What is older is what they are judged by.
_WINDOWS: Final = (1, 2, 4, 7)
WATCHED: Final = timedelta(days=35)
# A rate must fall to less than half, and further than chance explains.
_HALF: Final = 0.5
_CHANCE: Final = 1e-6  # that alike objects differ so: dozens of fields are judged each day
_MISSING: Final = 5  # so many empty ones may be one customer's
_LEAST_OBJECTS: Final = 20  # fewer older ones say nothing about a rate


class FillRate(NamedTuple):
    """How many objects of one day have a field filled. Grain: resource, field, version, day.

    `days_ago` is 0 for objects of the last 24 hours.
    """

    resource: str
    field: str
    api_version: str
    days_ago: int
    objects: int
    filled: int


class StatusCount(NamedTuple):
    """One status of one kind of object (Stripe's names) with its objects and one of their ids."""

    object: str
    status: str
    objects: int
    example: str


@dataclass(frozen=True)
class Fall:
    """One field that is much emptier in new objects of a version than it was before.

    Units: `before` and `now` are shares from 0 to 1, `objects` the new ones of the last `days`.
    """

    resource: str
    field: str
    api_version: str
    days: int
    objects: int
    before: float
    now: float

    def __str__(self) -> str:
        """`charges.customer: 98 % filled before, 0 % of 40 objects in 2026-10-28.endive now`."""
        return (
            f"{self.resource}.{self.field}: {self.before:.0%} filled before, "
            f"{self.now:.0%} of {self.objects} objects in {self.api_version} in {self.days} d"
        )


def unknown_statuses(counts: Iterable[StatusCount]) -> list[StatusCount]:
    """Statuses that no rule of ours knows: such objects count as not final and not settled."""
    return sorted(
        one
        for one in counts
        if one.status not in RANKS[one.object] and one.status not in _UNRANKED.get(one.object, ())
    )


class _Count(NamedTuple):
    objects: int = 0
    filled: int = 0

    def plus(self, rate: FillRate) -> _Count:
        return _Count(self.objects + rate.objects, self.filled + rate.filled)


def find_falls(rates: Iterable[FillRate]) -> list[Fall]:
    """Fields whose fill rate fell suddenly, each once per version, by name.

    The newest objects of one version are compared with all older ones, whatever their version: a
    fall mostly comes with a new one. Few objects prove nothing and are left alone.
    """
    by_field: dict[tuple[str, str], list[FillRate]] = defaultdict(list)
    for rate in rates:
        by_field[rate.resource, rate.field].append(rate)
    falls = []
    for _, known in sorted(by_field.items()):
        for version in sorted({rate.api_version for rate in known}):
            falls += _first_fall(known, version)
    return falls


def _first_fall(rates: Sequence[FillRate], version: str) -> list[Fall]:
    """The fall in the shortest window that shows one, if any does."""
    for days in _WINDOWS:
        new, old = _Count(), _Count()
        for rate in rates:
            if rate.days_ago >= _WINDOWS[-1]:
                old = old.plus(rate)
            elif rate.days_ago < days and rate.api_version == version:
                new = new.plus(rate)
        if _has_fallen(old, new):
            before, now = old.filled / old.objects, new.filled / new.objects
            last = rates[0]
            return [Fall(last.resource, last.field, version, days, new.objects, before, now)]
    return []


def _has_fallen(old: _Count, new: _Count) -> bool:
    if old.objects < _LEAST_OBJECTS:
        return False
    expected = new.objects * old.filled / old.objects
    if new.filled >= expected * _HALF or expected - new.filled <= _MISSING:
        return False
    return _log_chance(old, new) < log(_CHANCE)


def _log_chance(old: _Count, new: _Count) -> float:
    """The logarithm of how likely so few filled ones are, if new and old objects are alike.

    Fisher's exact test, one-sided: no approximation, which small companies would break. The sum of
    its terms is bounded by the greatest, the one of `new.filled`, times their number.
    """
    term = (
        _log_choices(old.objects, old.filled)
        + _log_choices(new.objects, new.filled)
        - _log_choices(old.objects + new.objects, old.filled + new.filled)
    )
    return term + log(new.filled + 1)


def _log_choices(objects: int, filled: int) -> float:
    return lgamma(objects + 1) - lgamma(filled + 1) - lgamma(objects - filled + 1)
