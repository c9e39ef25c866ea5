"""Dead letters, replay and traces of received events, for a terminal.

What an event means is decided in `billing/`; here it is asked for and put into words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from growth_pipeline.billing.mirror import Applied, apply_waiting
from growth_pipeline.billing.store import BillingStore, QuarantinedEvent
from growth_pipeline.billing.trace import Trace, trace_event
from growth_pipeline.core.errors import ExitCode, UsageError
from growth_pipeline.operate.database import open_database

Say = Callable[[str], None]


@contextmanager
def open_store(say: Say, *, read_only: bool = False) -> Iterator[BillingStore]:
    """The store of this folder's configuration, or of the demo that runs here.

    Who only reads does not bring the database up to date.
    Raises: ConfigurationError, RemoteUnavailableError.
    """
    with open_database(say, read_only=read_only) as (_, database):
        yield BillingStore(database)


@dataclass(frozen=True)
class DeadLetters:
    """Events that could not be applied, the latest first, and the inbox by state."""

    events: list[QuarantinedEvent]
    counts: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"inbox": self.counts, "quarantined": [event._asdict() for event in self.events]}

    def lines(self) -> list[str]:
        """For a person."""
        states = ", ".join(f"{number} {state}" for state, number in sorted(self.counts.items()))
        listed = [
            f"{event.event_id}  {event.received_at:%Y-%m-%d %H:%M}  {event.type}"
            f" ({event.api_version or 'no version'})\n    {event.reason}"
            for event in self.events
        ]
        return [f"inbox: {states or 'empty'}", *(listed or ["no event is quarantined"])]


@dataclass(frozen=True)
class Replayed:
    """How many events were read again, and what became of everything that waited."""

    replayed: int
    applied: Applied
    dry_run: bool

    @property
    def exit_code(self) -> int:
        """1 when some could still not be applied."""
        return int(ExitCode.FAILED if self.applied.quarantined else ExitCode.DONE)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"replayed": self.replayed, **self.applied._asdict(), "dry_run": self.dry_run}

    def lines(self) -> list[str]:
        """For a person."""
        if self.dry_run:
            return [f"dry run: {self.replayed} would be read again"]
        done = self.applied
        lines = [
            f"{self.replayed} read again: {done.applied} applied, {done.ignored} ignored, "
            f"{done.quarantined} quarantined (with all that waited)"
        ]
        if done.quarantined:
            lines.append("the reasons: growth webhooks list")
        return lines


def list_dead_letters(limit: int, *, say: Say) -> DeadLetters:
    """The dead letters of this installation."""
    with open_store(say, read_only=True) as store:
        return DeadLetters(store.quarantined(limit), store.inbox_counts())


def replay(event_id: str | None, *, now: datetime, dry_run: bool, say: Say) -> Replayed:
    """Read one event again that was set aside, or all quarantined ones, and apply what waits.

    Raises: UsageError for an event that is unknown or was applied.
    """
    with open_store(say, read_only=dry_run) as store:
        if event_id is not None:
            _check_can_replay(store, event_id)
        if dry_run:
            waiting = 1 if event_id else store.inbox_counts().get("quarantined", 0)
            return Replayed(waiting, Applied(), dry_run=True)
        replayed = store.replay(event_id)
        return Replayed(replayed, apply_waiting(store, now=now), dry_run=False)


def trace(event_id: str, *, say: Say) -> list[Trace]:
    """What an event did. Raises: UsageError for one that never came."""
    with open_store(say, read_only=True) as store:
        found = trace_event(store, event_id)
    if not found:
        raise _unknown(event_id)
    return found


def trace_lines(trace: Trace) -> list[str]:
    """One trace for a person."""
    event, now = trace.event, trace.now
    lines = [
        f"{event.event_id}  {event.type}  made {event.created_at:%Y-%m-%d %H:%M:%S} UTC,"
        f" received {event.received_at:%H:%M:%S} by {event.source}",
        f"  {event.state}" + (f": {event.reason}" if event.reason else ""),
    ]
    if event.object_id is not None:
        lines.append(f"  {event.object} {event.object_id}: {_EFFECTS.get(event.effect or '', '')}")
    if now is not None:
        lines.append(
            f"  now: {now.status or 'known'} as of {now.state_at:%Y-%m-%d %H:%M:%S} UTC,"
            f" told by {now.event_id or 'a fetch'}"
            + (", undecided" if now.undecided else "")
            + (f", deleted {now.deleted_at:%Y-%m-%d %H:%M:%S} UTC" if now.deleted_at else "")
        )
    lines += [f"  payment of {charge}: {effect}" for charge, effect in trace.payments]
    if trace.waits_for:
        lines.append(f"  waits for Stripe: {trace.waits_for}")
    return lines


_EFFECTS = {
    "inserted": "inserted its row",
    "updated": "updated its row",
    "deleted": "marked its row as deleted",
    "superseded": "changed nothing, a newer state was known or came with it",
    "repeated": "changed nothing, it says what the row says",
    "fetching": "carries no state; Stripe is to be asked",
}


def _check_can_replay(store: BillingStore, event_id: str) -> None:
    found = store.find_events(event_id)
    if not found:
        raise _unknown(event_id)
    if all(event.state not in {"quarantined", "ignored"} for event in found):
        raise UsageError(
            f"{event_id} is {found[0].state}, not set aside",
            remedy=f"see what it did: growth webhooks trace {event_id}",
        )


def _unknown(event_id: str) -> UsageError:
    return UsageError(
        f"no event {event_id} was received",
        remedy="check its id in Stripe's dashboard; the sweep fetches what was missed",
    )
