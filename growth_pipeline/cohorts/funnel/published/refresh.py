"""Published funnels: every user once, every period in which one began, every segment.

A period is told once each of its attempts had the whole window. Contract: docs/metrics.md,
"Published funnels".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from growth_pipeline.cohorts.active_users.published.plan import Calendar
from growth_pipeline.cohorts.funnel.measure import Measured, Tally
from growth_pipeline.cohorts.funnel.published.definition import (
    FUNNEL_GRAINS,
    Event,
    PublishedFunnel,
)
from growth_pipeline.cohorts.funnel.result import Row, rows_of
from growth_pipeline.cohorts.funnel.rules import Plan, best_attempt
from growth_pipeline.cohorts.refresh.facts import read_facts, segments_in
from growth_pipeline.core.calendar import date_of, day_end, day_start, period_of, period_start
from growth_pipeline.core.periods import PeriodState

if TYPE_CHECKING:
    from growth_pipeline.cohorts.funnel.published.funnel_store import FunnelStore
    from growth_pipeline.storage.lake import Lake

FUNNEL_COLUMNS: Mapping[str, str] = {
    "funnel": "text",
    "grain": "text",
    "period_start": "date",
    "segment_by": "text",
    "segment": "text",
    "stage": "int4",
    "step": "text",
    "users": "int8",
    "from_first": "numeric",
    "from_previous": "numeric",
    "dropoff": "int8",
    "median_seconds": "numeric",
    "state": "text",
}
_SECOND = 1_000_000
_NAMES = ("from_first", "from_previous", "dropoff", "median_seconds")
Key = tuple[str, int, str, "str | None"]
"""Grain, period, property ('' for none), segment."""


@dataclass
class CountedFunnel:
    """Tallies of one funnel. `users`: who ever began it; `first_day`: when the first one did."""

    funnel: PublishedFunnel
    users: int = 0
    first_day: int | None = None
    tallies: dict[Key, Tally] = field(default_factory=dict)

    @cached_property
    def calendars(self) -> Mapping[str, Calendar]:
        """Grain -> what decides its periods."""
        return {grain: Calendar(grain, self.funnel.week_start) for grain in FUNNEL_GRAINS}

    @cached_property
    def _plans(self) -> dict[tuple[str, int], Plan]:
        return {}

    def plan(self, grain: str, period: int) -> Plan:
        """The rules of attempts that begin in a period."""
        key = (grain, period)
        if key not in self._plans:
            calendar, tz = self.calendars[grain], self.funnel.definition.tz
            first, after = period_start(period, calendar), period_start(period + 1, calendar)
            self._plans[key] = replace(
                self.funnel.plan,
                first_us=day_start(tz, first) * _SECOND,
                last_us=day_end(tz, after - 1) * _SECOND,
            )
        return self._plans[key]

    def is_closed(self, grain: str, period: int) -> bool:
        """Whether every attempt of a period had its whole window before as_of."""
        plan = self.plan(grain, period)
        end, as_of = plan.last_us, self.funnel.plan.as_of_us
        if not self.funnel.is_known:
            return False
        return as_of is not None and end is not None and end <= as_of and not plan.is_open(end - 1)

    def add(self, events: Sequence[Event], segments: Mapping[str, str | None]) -> None:
        """One more user, with the segment by each property."""
        marked = self.funnel.marked(events)
        days = {event.day for event, bits in marked if bits & 1}
        if not days:
            return
        self.users += 1
        self.first_day = min(days if self.first_day is None else {self.first_day, *days})
        instants = self.funnel.instants(marked)
        for grain, calendar in self.calendars.items():
            for period in {period_of(day, calendar) for day in days}:
                if not self.is_closed(grain, period):
                    continue
                attempt = best_attempt(instants, self.plan(grain, period))
                if attempt is not None and not attempt.is_open:
                    for segment_by, segment in (("", None), *segments.items()):
                        self._tally((grain, period, segment_by, segment)).add(attempt)

    def _tally(self, key: Key) -> Tally:
        stages = len(self.funnel.definition.stages)
        return self.tallies.setdefault(key, Tally.empty(stages))

    def rows(self, segment_by: str = "") -> Iterator[Row]:
        """Rows of cohorts.funnels: each begun period since the first one, every stage."""
        found = {key[3] for key in self.tallies if key[2] == segment_by} or {None}
        segments = sorted(found, key=lambda name: (name is None, name or ""))
        for grain, period in self.periods():
            for segment in segments:
                yield from self._stages((grain, period, segment_by, segment))

    def periods(self) -> Iterator[tuple[str, int]]:
        """Grain and period, from the one in which somebody began first to the one of as_of."""
        as_of = self.funnel.plan.as_of_us
        if self.first_day is None or as_of is None:
            return
        for grain, calendar in self.calendars.items():
            period = period_of(self.first_day, calendar)
            while (self.plan(grain, period).first_us or 0) < as_of:
                yield grain, period
                period += 1

    def _stages(self, key: Key) -> Iterator[Row]:
        grain, period, segment_by, segment = key
        closed = self.is_closed(grain, period)
        tally = self.tallies.get(key) or Tally.empty(len(self.funnel.definition.stages))
        for row in rows_of(Measured(self.users, tally), self.funnel.definition):
            yield {
                "funnel": self.funnel.name,
                "grain": grain,
                "period_start": date_of(period_start(period, self.calendars[grain])),
                "segment_by": segment_by,
                "segment": segment,
                "stage": row["stage"],
                "step": row["step"],
                "users": row["count"] if closed else None,
                **{name: row[name] if closed else None for name in _NAMES},
                "state": (PeriodState.CLOSED if closed else PeriodState.OPEN).value,
            }


def refresh_funnels(
    lake: Lake,
    store: FunnelStore,
    funnels: Sequence[PublishedFunnel],
    *,
    segments: Sequence[str] = (),
) -> list[CountedFunnel]:
    """Count these funnels of every user, up to the last whole day that was rolled up.

    A funnel with payments is known up to the instant to which payments are; where nobody tells
    whose customers are whose, none of its periods is closed.
    Raises: GrowthError when there is no activity; UsageError for a property that was not read;
    LakeUnreadableError; RemoteUnavailableError.
    """
    if not funnels:
        return []
    facts = read_facts(lake)
    end = datetime.fromtimestamp(day_end(facts.tz, facts.last_whole_day()), UTC)
    counted = [CountedFunnel(one) for one in _known(store, funnels, end, facts.tz)]
    people = {name: _segments(lake, name) for name in segments}
    with store.users(funnels, tz=facts.tz, as_of=end) as users:
        for number, events in users:
            own = {name: found.get(number) for name, found in people.items()}
            for one in counted:
                one.add(_before(events, one.funnel), own)
    return counted


def _known(
    store: FunnelStore, funnels: Sequence[PublishedFunnel], end: datetime, tz: str
) -> Iterator[PublishedFunnel]:
    until = store.payments_until() if any(one.uses_payments for one in funnels) else None
    for funnel in funnels:
        if not funnel.uses_payments:
            yield funnel.at(end, tz)
        else:
            known = end if until is None else min(end, until)
            yield replace(funnel.at(known, tz), is_known=until is not None)


def _before(events: list[Event], funnel: PublishedFunnel) -> list[Event]:
    as_of = funnel.plan.as_of_us
    return [event for event in events if as_of is None or event.at_us < as_of]


def _segments(lake: Lake, name: str) -> dict[int, str]:
    return dict(lake.read(segments_in(lake, name), ["user_number", "segment"]).iter_rows())
