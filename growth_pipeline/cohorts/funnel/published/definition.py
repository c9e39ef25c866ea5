"""The funnels of the settings, with every option resolved. Pure.

Contract: docs/metrics.md, "Published funnels".
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from growth_pipeline.cohorts.funnel.definition import (
    FunnelDefinition,
    StageEvent,
    duration,
    stages_of,
)
from growth_pipeline.cohorts.funnel.measure import plan_of
from growth_pipeline.cohorts.funnel.rules import Instant, Plan
from growth_pipeline.core.errors import UsageError

PAYMENT = "stripe:payment"
SESSION = "session_id"
FUNNEL_GRAINS = ("week", "month")


@dataclass(frozen=True)
class Event:
    """One event of a user. `day`: its local day; `properties`: those that stages look at."""

    at_us: int
    day: int
    event: str
    properties: Mapping[str, str]


@dataclass(frozen=True)
class PublishedFunnel:
    """One funnel under its name. `definition.as_of`: nothing at it or later is known.

    `is_known` False: it asks for payments, and nobody tells whose they are.
    """

    name: str
    definition: FunnelDefinition
    week_start: str = "monday"
    is_known: bool = True

    @cached_property
    def plan(self) -> Plan:
        """The rules of attempts, before a period is chosen."""
        return plan_of(self.definition)

    @cached_property
    def _served(self) -> Mapping[str, list[tuple[StageEvent, int]]]:
        found: dict[str, list[tuple[StageEvent, int]]] = {}
        for place, stage in enumerate(self.definition.stages):
            for one in stage.events:
                found.setdefault(one.event, []).append((one, 1 << place))
        return found

    @property
    def uses_payments(self) -> bool:
        """Whether a stage is a payment of the books."""
        return PAYMENT in self._served

    def at(self, as_of: datetime, tz: str) -> PublishedFunnel:
        """The same funnel, known up to an instant, in local days of a zone."""
        return replace(self, definition=replace(self.definition, as_of=as_of, tz=tz))

    def options(self, segment_by: str | None = None) -> dict[str, Any]:
        """Every option as it holds, for the head of a result."""
        told = replace(self.definition, segment=segment_by).resolved()
        for name in ("from", "to", "breakdown", "signed_up_from", "signed_up_to"):
            del told[name]
        return {**told, "funnel": self.name, "week_start": self.week_start}

    def marked(self, events: Sequence[Event]) -> list[tuple[Event, int]]:
        """Events of one user with the stages that each can serve, as bits."""
        sessions = _sessions(events) if self.definition.needs_session else {}
        return [(event, self._bits(event, sessions)) for event in events]

    def instants(self, marked: Iterable[tuple[Event, int]]) -> list[Instant]:
        """Events of one user in order of time, as the rule takes them."""
        told: dict[int, list[int]] = {}
        for event, bits in marked:
            if bits or self.definition.order == "strict":
                told.setdefault(event.at_us, []).append(bits)
        return [(at_us, tuple(sorted(bits))) for at_us, bits in sorted(told.items())]

    def _bits(self, event: Event, sessions: Mapping[str, Collection[str]]) -> int:
        found = 0
        inside = sessions.get(event.properties.get(SESSION, ""), ())
        for one, bits in self._served.get(event.event, ()):
            has_all = all(event.properties.get(name) == value for name, value in one.where)
            if has_all and (one.needs is None or one.needs in inside):
                found |= bits
        return found


def funnels_of(
    texts: Sequence[str], *, window: str, order: str, week_start: str, as_of: datetime
) -> list[PublishedFunnel]:
    """Funnels as the settings write them: `name=stage,stage`.

    Raises: UsageError naming the funnel that cannot be read.
    """
    found = []
    for text in texts:
        name, _, stages = text.partition("=")
        try:
            definition = FunnelDefinition(
                as_of=as_of,
                stages=stages_of(stages),
                order=order,
                window=duration("GROWTH_COHORTS__FUNNEL_WINDOW", window),
            )
        except UsageError as error:
            said = error.message.removeprefix("--steps: ")
            raise UsageError(
                f"funnel {name.strip()!r}: {said}",
                remedy="correct GROWTH_COHORTS__FUNNELS, as in activation=User Signed Up,Paid",
            ) from error
        found.append(PublishedFunnel(name.strip(), definition, week_start))
    return found


def names_of(funnels: Sequence[PublishedFunnel]) -> list[str] | None:
    """Events that these funnels look at; None where one of them looks at every event."""
    if any(funnel.definition.order == "strict" for funnel in funnels):
        return None
    events = (
        event for funnel in funnels for stage in funnel.definition.stages for event in stage.events
    )
    names = {name for event in events for name in (event.event, event.needs) if name}
    return sorted(names - {PAYMENT})


def properties_of(funnels: Sequence[PublishedFunnel]) -> list[str]:
    """Properties of events that these funnels look at."""
    names = {name for funnel in funnels for name in funnel.definition.properties}
    if any(funnel.definition.needs_session for funnel in funnels):
        names.add(SESSION)
    return sorted(names)


def event_of(row: tuple[Any, ...]) -> Event:
    """A row of funnel_source.sql, less its user."""
    at_us, day, event, properties = row
    return Event(at_us, day, event, json.loads(properties) if properties else {})


def _sessions(events: Iterable[Event]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for event in events:
        session = event.properties.get(SESSION)
        if session:
            found.setdefault(session, set()).add(event.event)
    return found
