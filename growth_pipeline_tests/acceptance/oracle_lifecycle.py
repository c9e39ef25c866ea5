"""Stages and engagement scores by plain loops over days, one user at a time.

Written from the contract alone (docs/metrics.md, "Engagement score" and "Lifecycle stages"); imports
nothing of the product. Powers are decimals of 40 digits, so that no float decides a rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import cache, cached_property

ONE = timedelta(days=1)
EXACT = Context(prec=40)
Span = tuple[date, date | None]


@dataclass(frozen=True)
class Life:
    """All that is known of a user. Spans hold at the end of days from the first, before the second."""

    first: date
    signed_up: date | None = None
    deleted: date | None = None
    active: frozenset[date] = frozenset()
    uses: dict[str, frozenset[date]] = field(default_factory=dict)
    activated: date | None = None
    paying: tuple[Span, ...] = ()
    past_due: tuple[Span, ...] = ()
    cancel_scheduled: tuple[Span, ...] = ()
    disputed: tuple[Span, ...] = ()
    paused: tuple[Span, ...] = ()
    trialing: tuple[Span, ...] = ()

    def last_told(self) -> date:
        """The last day of which anything is told."""
        days = [self.first, *self.active, *(d for d in (self.deleted, self.activated) if d)]
        for spans in (self.paying, self.past_due, self.cancel_scheduled, self.disputed):
            days += [day for span in spans for day in span if day]
        for spans in (self.paused, self.trialing):
            days += [day for span in spans for day in span if day]
        return max(days + [day for used in self.uses.values() for day in used])


@dataclass(frozen=True)
class Scored:
    """A score with its three parts and the whole points that each adds."""

    score: int
    frequency: Decimal
    recency: Decimal
    breadth: Decimal
    points: tuple[int, int, int]
    young: bool
    band: str


@cache
def halved(age: int, half_life: int) -> Decimal:
    """0.5 to the power of age / half-life."""
    return EXACT.power(Decimal("0.5"), EXACT.divide(Decimal(age), Decimal(half_life)))


@cache
def full_use(ages: int) -> Decimal:
    """What use on 5 days of 7 weighs over so many ages."""
    return sum((halved(age, 14) for age in range(ages)), Decimal(0)) * 5 / 7


def holds(spans: tuple[Span, ...], day: date) -> bool:
    return any(start <= day and (end is None or day < end) for start, end in spans)


def score_of(life: Life, day: date) -> Scored:
    """The score of one day."""
    lived = (day - life.first).days + 1
    if lived < 1:
        raise ValueError("nothing is known of the user yet")
    past = [one for one in life.active if one <= day]
    weight = Decimal(0)
    for one in sorted(past):
        if (day - one).days <= 55:
            weight += halved((day - one).days, 14)
    frequency = min(Decimal(1), weight / full_use(min(56, max(lived, 7))))
    recency = halved((day - max(past)).days, 7) if past else Decimal(0)
    breadth = Decimal(0)
    for used in life.uses.values():
        before = [one for one in used if one <= day]
        if before:
            breadth += halved((day - max(before)).days, 28)
    breadth = min(Decimal(1), breadth / 4)
    parts = [40 * frequency, 35 * recency, 25 * breadth]
    raw = sum(parts, Decimal(0)).quantize(Decimal("1e-9"), ROUND_HALF_EVEN)
    score = int(raw.quantize(Decimal(1), ROUND_HALF_EVEN))
    points = [int(part) for part in parts]
    order = sorted(range(3), key=lambda place: (points[place] - parts[place], place))
    for place in order[: score - sum(points)]:
        points[place] += 1
    told = (points[0], points[1], points[2])
    return Scored(score, frequency, recency, breadth, told, lived < 56, band_of(score))


def band_of(score: int) -> str:
    for name, least in (("high", 70), ("steady", 40), ("fading", 20), ("low", 1)):
        if score >= least:
            return name
    return "none"


@dataclass
class Days:
    """The days of one user from the first on, each in its turn."""

    life: Life
    last: date

    @cached_property
    def all(self) -> list[date]:
        count = (self.last - self.life.first).days + 1
        return [self.life.first + n * ONE for n in range(count)]

    @cached_property
    def scores(self) -> dict[date, int]:
        return {day: score_of(self.life, day).score for day in self.all}

    @cached_property
    def fading(self) -> dict[date, tuple[date, str]]:
        """Days of row 2c -> the day it was entered."""
        return dict(self._fading())

    @cached_property
    def ways_out(self) -> list[str]:
        """Why row 2c was left, each time."""
        list(self._fading())
        return self._left

    def _fading(self) -> Iterator[tuple[date, tuple[date, str]]]:
        entered: date | None = None
        self._left: list[str] = []
        for day in self.all:
            pays = holds(self.life.paying, day)
            if entered is not None:
                why = self._leaves(day, entered, pays=pays)
                if why:
                    self._left.append(why)
                    entered = None
            if entered is None and pays and self._fades(day):
                entered = day
            if entered is not None:
                yield day, (entered, "2c")

    def _leaves(self, day: date, entered: date, *, pays: bool) -> str:
        if not pays:
            return "MRR 0"
        if (day - entered).days >= 28:
            return "28 days"
        last_three = [self.scores.get(day - n * ONE, 0) for n in range(3)]
        return "3 days" if min(last_three) >= 30 else ""

    def _fades(self, day: date) -> bool:
        if (day - self.life.first).days < 28 or self.scores[day] >= 20:
            return False
        return sum(self.scores[day - n * ONE] for n in range(1, 29)) >= 28 * 40

    def rows(self) -> dict[date, tuple[str, str]]:
        """Day -> the first row that is true, and its stage."""
        return {day: self._row(day) for day in self.all}

    def _row(self, day: date) -> tuple[str, str]:
        life = self.life
        if life.deleted is not None and life.deleted <= day:
            return "1", "deleted"
        if holds(life.paying, day):
            return self._paying_row(day)
        if holds(life.paused, day):
            return "5", "paused"
        if holds(life.trialing, day):
            return "6", "trialing"
        if any(start <= day for start, _ in life.paying):
            return "7", "churned"
        return self._unpaid_row(day)

    def _unpaid_row(self, day: date) -> tuple[str, str]:
        """The row of somebody who never paid."""
        life = self.life
        recent = [one for one in life.active if 0 <= (day - one).days <= 29]
        if (day - (life.signed_up or life.first)).days >= 30 and not recent:
            return "8", "dormant"
        if any(end is not None and end <= day for _, end in life.trialing):
            return "9", "trial_ended"
        if life.activated is not None and life.activated <= day:
            return "10", "activated"
        return "11", "signed_up"

    def _paying_row(self, day: date) -> tuple[str, str]:
        if holds(self.life.past_due, day):
            return "2a", "at_risk"
        if holds(self.life.cancel_scheduled, day):
            return "2b", "at_risk"
        if day in self.fading:
            return "2c", "at_risk"
        if holds(self.life.disputed, day):
            return "2d", "at_risk"
        return ("3", "won_back") if self._came_back(day) else ("4", "paying")

    def _came_back(self, day: date) -> bool:
        """Whether MRR began less than 90 days ago, after days without MRR that were no pause."""
        begun = day
        while holds(self.life.paying, begun - ONE):
            begun -= ONE
            if (day - begun).days >= 90:
                return False
        if not any(start < begun for start, _ in self.life.paying):
            return False
        gap = begun - ONE
        while not holds(self.life.paying, gap):
            if not holds(self.life.paused, gap):
                return True
            gap -= ONE
        return False


def history_of(life: Life, last: date) -> list[tuple[date, str, str]]:
    """Each change of stage up to a day: the day, the stage, and the row that was true first."""
    found: list[tuple[date, str, str]] = []
    if last < life.first:
        return found
    for day, (row, stage) in Days(life, last).rows().items():
        if not found or found[-1][1] != stage:
            found.append((day, stage, row))
    return found


def next_change(life: Life, last: date) -> date | None:
    """The first day after `last` whose stage differs if nothing more is told."""
    if last < life.first:
        return life.first
    rows = Days(life, max(last, life.last_told()) + 130 * ONE).rows()
    later = (day for day, (_, stage) in rows.items() if day > last and stage != rows[last][1])
    return next(later, None)
