"""Which published cells a change of the facts touches. Pure.

A cell of cohort c and period n is decided by the members of c and by the activity of the one
calendar period c + n. So a new day touches the cells of its period only, and a late event those of
the period it lies in. Contract: docs/metrics.md, "Cohorts and retention".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

from growth_pipeline.cohorts.definition import RetentionDefinition
from growth_pipeline.core.calendar import date_of, day_end, period_of, period_start

if TYPE_CHECKING:
    from growth_pipeline.cohorts.refresh.money import PaidBasis
    from growth_pipeline.cohorts.retention.assemble import CohortKey


class Members(NamedTuple):
    """Who is in a cohort: how many, and two sums that tell one set from another."""

    size: int
    numbers: int
    residues: int

    def joined(self, other: Members | None) -> Members:
        """Those and these; nobody is in both."""
        if other is None:
            return self
        return Members(
            self.size + other.size, self.numbers + other.numbers, self.residues + other.residues
        )


@dataclass(frozen=True)
class Basis:
    """What published cells were made of.

    `through`: the last local day, in, as a day number. `options`: the resolved definition. `days`:
    day number -> hash of that day's activity. `members`: cohort -> who was in it, and in which
    segment. `money`: None while payments are unknown. `sizes`: cohort -> segment -> members; known
    of the facts as they are now, not of what was published.
    """

    through: int
    options: Mapping[str, Any]
    days: Mapping[int, str]
    members: Mapping[int, Members]
    money: PaidBasis | None = None
    sizes: Mapping[int, Mapping[str | None, int]] = field(default_factory=dict)

    def sizes_of(self, cohorts: Iterable[int]) -> dict[CohortKey, int]:
        """Members by cohort and segment, of these cohorts."""
        return {
            (cohort, segment): size
            for cohort in cohorts
            for segment, size in self.sizes.get(cohort, {}).items()
        }


@dataclass(frozen=True)
class Plan:
    """What to compute again.

    `periods`: calendar periods whose activity must be read; `cohorts`: those of which every cell
    may differ; `days`: days of activity that are new, changed or gone. `is_rebuild`: everything.
    """

    is_rebuild: bool
    periods: frozenset[int]
    cohorts: frozenset[int]
    days: tuple[int, ...] = field(default=())

    def touches(self, cohort: int, index: int) -> bool:
        """Whether the cell `index` of a cohort is computed again."""
        return self.is_rebuild or cohort in self.cohorts or cohort + index in self.periods

    def cohorts_of(self, members: Iterable[int], definition: RetentionDefinition) -> set[int]:
        """Of these cohorts, those with a touched cell."""
        known = set(members)
        if self.is_rebuild:
            return known
        shown = range(definition.last_period + 1)
        reached = {period - index for period in self.periods for index in shown}
        return known & (reached | self.cohorts)


def plan_refresh(
    before: Basis | None,
    now: Basis,
    definition: RetentionDefinition,
    *,
    since: int | None = None,
    until: int | None = None,
) -> Plan:
    """What differs between two states of the facts, as cells.

    `since`, `until`: days from the one to the other, both in, count as changed, whether they did or
    not; `until` None is the last. Other options than before, or an earlier last day, make
    everything anew.
    """
    if before is None or before.options != now.options or now.through < before.through:
        return _rebuild(now, definition)
    days = set(changed_days(before, now))
    advanced = set(range(before.through + 1, _last_over(now, definition) + 1))
    asked = _asked_days(since, until, now)
    cohorts = frozenset(
        cohort
        for cohort in before.members.keys() | now.members.keys()
        if before.members.get(cohort) != now.members.get(cohort)
    )
    touched = {period_of(day, definition) for day in days | advanced | asked}
    last = period_of(now.through, definition)
    read = {
        cohort + index
        for cohort in cohorts & now.members.keys()
        for index in range(definition.last_period + 1)
        if cohort + index <= last
    }
    return Plan(
        is_rebuild=False,
        periods=frozenset(touched | read),
        cohorts=cohorts,
        days=tuple(sorted(days)),
    )


def changed_days(before: Basis, now: Basis) -> list[int]:
    """Days whose activity is new, changed or gone, in order."""
    known = before.days.keys() | now.days.keys()
    return sorted(day for day in known if before.days.get(day) != now.days.get(day))


def days_to_read(plan: Plan, now: Basis, definition: RetentionDefinition) -> list[int]:
    """Days of activity that decide the touched cells, in order.

    A period that is not over decides nothing yet: its cells are null. It is read once it is over.
    """
    periods = {period_of(day, definition) for day in now.days}
    if not plan.is_rebuild:
        periods &= plan.periods
    told = {period for period in periods if _is_over(period, definition)}
    return sorted(day for day in now.days if period_of(day, definition) in told)


def cohort_dates(cohort: int, definition: RetentionDefinition) -> tuple[date, date]:
    """First day of a cohort and of the one after it."""
    return (
        date_of(period_start(cohort, definition)),
        date_of(period_start(cohort + 1, definition)),
    )


def _is_over(period: int, definition: RetentionDefinition) -> bool:
    last_day = period_start(period + 1, definition) - 1
    return day_end(definition.tz, last_day) <= definition.as_of.timestamp()


def _last_over(now: Basis, definition: RetentionDefinition) -> int:
    """The last day that is over: `through`, or the days after it that the zone leapt over."""
    day = now.through
    while day_end(definition.tz, day + 1) <= definition.as_of.timestamp():
        day += 1
    return day


def _asked_days(since: int | None, until: int | None, now: Basis) -> set[int]:
    if since is None or not now.days:
        return set()
    last = now.through if until is None else min(until, now.through)
    return set(range(max(since, min(now.days)), last + 1))


def _rebuild(now: Basis, definition: RetentionDefinition) -> Plan:
    periods = frozenset(period_of(day, definition) for day in now.days)
    return Plan(True, periods, frozenset(now.members), tuple(sorted(now.days)))
