"""Facts of a digest: what a weekly report may say, each with where it comes from. Pure.

How facts are measured is in `digest`, how they compare in `change.py`, how they are written in
`figures.py`. Contract: docs/insights.md, "The digest".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Any, TypeAlias

import orjson


class Group(StrEnum):
    """The four groups in which a report tells, in their order."""

    REVENUE = "revenue"
    USERS = "users"
    ENGAGEMENT = "engagement"
    PRODUCT = "product"


class Kind(StrEnum):
    """How a fact is compared: a stock at the ends of periods, a flow over them, or a rate."""

    STOCK = "stock"
    FLOW = "flow"
    RATE = "rate"


class Unit(StrEnum):
    """What a value counts. minor: minor units of `currency`; rate: 0 to 1; average: of days."""

    MINOR = "minor"
    COUNT = "count"
    RATE = "rate"
    AVERAGE = "average"


class State(StrEnum):
    """Whether a value is known: its period is over in what was read, or not."""

    CLOSED = "closed"
    OPEN = "open"


class Direction(StrEnum):
    """What may be said of a change. `FLAT`: no clear change; it is no claim that nothing moved."""

    UP = "up"
    DOWN = "down"
    FLAT = "flat"
    TOO_FEW = "too_few"
    UNKNOWN = "unknown"


Value: TypeAlias = int | Decimal | None
"""Whole minor units or counts as int; rates and averages as Decimal; None is unknown."""


@dataclass(frozen=True, slots=True)
class Point:
    """One period of a series: `[start, end)` in local days of the series' zone.

    `value` is None unless the period is closed and known; `reason` says why. `sample`: customers,
    users, payments or events it rests on. `numerator` and `denominator` of a rate.
    """

    start: date
    end: date
    value: Value = None
    sample: int | None = None
    numerator: int | None = None
    denominator: int | None = None
    state: State = State.CLOSED
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a series was read: table or asset, its zone, and how far it is known (exclusive)."""

    table: str
    tz: str
    as_of: datetime | None
    policy: str = ""
    receipt_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Series:
    """One metric over periods of one length, oldest first; the last is what the report is about.

    `fact_id`: stable, as `mrr.usd`. `family`: what words name it, as `mrr`. `label`: our own words.
    `name`: somebody's text (name of an event or funnel stage), shown beside the label and sent to
    nobody. `noun`: what a count counts, in the plural. `more_is`: good, bad or neither.
    `part_of`: the fact whose change this one is a part of; its parts' changes add up to it.
    `sign`: -1 where a part lowers what it is part of (never for movements, which are signed).
    """

    fact_id: str
    group: Group
    family: str
    label: str
    kind: Kind
    unit: Unit
    points: tuple[Point, ...]
    source: Source
    currency: str = ""
    name: str = ""
    noun: str = ""
    more_is: str = "good"
    grain: str = "week"
    part_of: str | None = None
    sign: int = 1

    @property
    def last(self) -> Point:
        """The period that the report is about."""
        return self.points[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The last period against a baseline: the period before, or the mean of the four before.

    `change` is `value - baseline` in the unit of the fact (rates: as a difference of rates).
    `percent` is `change / |baseline|`, None where a count is too small or the baseline is 0.
    `z`: how many standard deviations chance alone makes; None where that is not asked.
    """

    baseline: Value
    change: Value
    percent: Decimal | None
    z: float | None
    direction: Direction


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """The last closed periods as a line: median slope a period, Kendall's tau, direction."""

    slope: Decimal
    tau: Decimal
    direction: Direction
    periods: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """A part of a fact's change since the period before. `share`: of the whole change, if any."""

    fact_id: str
    contribution: int | Decimal
    share: Decimal | None


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One series with what may be said of its last period.

    `before`: against the period before. `usual`: against the mean of the four before (days: the
    same weekday). `drivers`: parts of its change, the largest first; they add up to the change, or
    there are none.
    """

    series: Series
    before: Comparison
    usual: Comparison
    trend: Trend | None
    drivers: tuple[Driver, ...] = ()

    @property
    def fact_id(self) -> str:
        """Id of the series."""
        return self.series.fact_id

    @property
    def value(self) -> Value:
        """Value of the last period."""
        return self.series.last.value

    @property
    def is_known(self) -> bool:
        """Whether there is a value."""
        return self.value is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A word of fact, as the verdict of an audit: no number, never compared.

    `detail`: our own words beside it.
    """

    status_id: str
    label: str
    value: str
    detail: str
    as_of: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Restated:
    """A value of a closed period that was told before and is another now."""

    fact_id: str
    label: str
    unit: Unit
    currency: str
    start: date
    before: Value
    now: Value
    reason: str


@dataclass(frozen=True, kw_only=True)
class Digest:
    """All facts of one report: N complete weeks that end with `week_end` (exclusive).

    `notes`: what could not be measured, and why. `made_at` and `as_of`: the clock that was given.
    """

    week_start: date
    week_end: date
    weeks: int
    made_at: datetime
    facts: tuple[Fact, ...]
    statuses: tuple[Status, ...] = ()
    restated: tuple[Restated, ...] = ()
    notes: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def by_id(self) -> Mapping[str, Fact]:
        """Facts by their ids."""
        return {fact.fact_id: fact for fact in self.facts}

    def of_group(self, group: Group) -> Iterator[Fact]:
        """Facts of one group, in their order."""
        return (fact for fact in self.facts if fact.series.group is group)

    def of_family(self, *families: str) -> list[Fact]:
        """Facts of some families, in their order."""
        return [fact for fact in self.facts if fact.series.family in families]

    @cached_property
    def sha256(self) -> str:
        """Hash of everything that it says, without when it was made and when sources were read."""
        return hashlib.sha256(self.to_json(stamped=False)).hexdigest()

    def to_json(self, *, stamped: bool = True) -> bytes:
        """The digest as canonical JSON; decimals as text. `stamped`: with instants of reading."""
        told = self.to_dict()
        if not stamped:
            del told["made_at"]
            for one in (*(fact["source"] for fact in told["facts"]), *told["statuses"]):
                del one["as_of"]
        return orjson.dumps(told, option=orjson.OPT_SORT_KEYS)

    def to_dict(self) -> dict[str, Any]:
        """The digest as JSON knows it."""
        return {
            "week_start": self.week_start.isoformat(),
            "week_end": self.week_end.isoformat(),
            "weeks": self.weeks,
            "made_at": self.made_at.isoformat(),
            "options": dict(self.options),
            "facts": [_fact(fact) for fact in self.facts],
            "statuses": [plain(one) for one in self.statuses],
            "restated": [plain(one) for one in self.restated],
            "notes": list(self.notes),
        }


def weeks_before(end: date, count: int) -> list[tuple[date, date]]:
    """`count` weeks as `[start, end)`, oldest first; the last one ends with `end`."""
    return [
        (end - timedelta(days=7 * (n + 1)), end - timedelta(days=7 * n))
        for n in reversed(range(count))
    ]


def _fact(fact: Fact) -> dict[str, Any]:
    return {
        **{name: value for name, value in plain(fact.series).items() if name != "points"},
        "value": plain(fact.value),
        "sample": fact.series.last.sample,
        "state": fact.series.last.state,
        "reason": fact.series.last.reason,
        "before": plain(fact.before),
        "usual": plain(fact.usual),
        "trend": plain(fact.trend),
        "drivers": [plain(driver) for driver in fact.drivers],
        "points": [plain(point) for point in fact.series.points],
    }


def plain(told: Any) -> Any:
    """A value as JSON knows it: dataclasses as objects, decimals and days as text."""
    if told is None or isinstance(told, bool | int | float | str):
        return str(told) if isinstance(told, StrEnum) else told
    if isinstance(told, Decimal):
        return str(told)
    if isinstance(told, date):  # a datetime too
        return told.isoformat()
    if isinstance(told, Mapping):
        return {str(name): plain(value) for name, value in told.items()}
    if hasattr(told, "__dataclass_fields__"):
        return {name: plain(getattr(told, name)) for name in told.__dataclass_fields__}
    return [plain(one) for one in told] if isinstance(told, Iterable) else str(told)
