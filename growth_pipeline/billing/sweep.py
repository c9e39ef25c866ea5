"""Closes what webhooks missed: reads Stripe's events list and stores what the inbox does not know.

Which span is read, and whether Stripe still has all of it, is decided here, purely; statements are
in `sweep_store.py`. What an event means is not asked here. Contract: docs/stripe.md, "Sweep".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from growth_pipeline.billing.inbox import (
    Handling,
    ReceivedEvent,
    decide,
    parse_envelope,
    received_event,
)
from growth_pipeline.core.errors import IncompleteError
from growth_pipeline.stripe_api.time_windows import Window

if TYPE_CHECKING:
    from growth_pipeline.billing.store import BillingStore
    from growth_pipeline.billing.sweep_store import SweepStore
    from growth_pipeline.stripe_api.client import Page, StripeReader

_log: Final = structlog.get_logger(__name__)

# Stripe lists events for 30 days; the last of them is not relied on.
# Source: Stripe docs, "Process undelivered webhook events".
RETENTION: Final = timedelta(days=30)
SAFE_RETENTION: Final = timedelta(days=29)
# Events of a second that was read already may appear later.
OVERLAP: Final = timedelta(hours=2)
# Above this nearly everything is undelivered: asking for that first would read the list twice.
UNDELIVERED_FIRST: Final = timedelta(hours=12)
# Stripe delivers within seconds; an event older than this that only the sweep brought was missed.
PATIENCE: Final = timedelta(minutes=10)

_UNDELIVERED: Final = {"delivery_success": "false"}
_ONE_SECOND: Final = timedelta(seconds=1)


class SweepState(NamedTuple):
    """How far one account's events list was read. All None before the first sweep.

    Units: UTC. Every listed event created before `swept_to` is in the inbox. A sweep under way
    has read `[unread_to, reading_to)`. `newest_event_at` is of the inbox, by whatever road.
    """

    swept_to: datetime | None = None
    unread_to: datetime | None = None
    reading_to: datetime | None = None
    finished_at: datetime | None = None
    newest_event_at: datetime | None = None


class LostSpan(NamedTuple):
    """Events created in `[start, end)` that Stripe lists no more, and that nobody may have seen."""

    start: datetime
    end: datetime


class SweepPlan(NamedTuple):
    """What one sweep reads. `reading_to` is how far everything is known when it has ended."""

    window: Window
    reading_to: datetime
    lost: LostSpan | None = None
    is_first: bool = False
    resumes: bool = False
    undelivered_first: bool = False


def plan_sweep(state: SweepState, now: datetime) -> SweepPlan:
    """The span of the events list to read now, and the span that is lost.

    A first sweep reads all that Stripe has. A sweep that was cut short goes on with what it had
    not read. What is older than 29 days and was not read in time is lost.
    """
    floor = now - RETENTION
    known_to = state.swept_to or state.newest_event_at
    lost = None
    if known_to is not None and known_to - OVERLAP < now - SAFE_RETENTION:
        lost = LostSpan(_whole(known_to - OVERLAP), _whole(now - SAFE_RETENTION))
    # A cursor in the future is left by a clock that was set back.
    known = floor if state.swept_to is None else min(state.swept_to, now) - OVERLAP
    start = _whole(max(known, floor))
    resumed = state.unread_to if state.unread_to and state.unread_to >= start else None
    reading_to = state.reading_to if resumed and state.reading_to else _whole(now)
    # Others may share the second that the reading stopped in.
    end = min(reading_to, resumed + _ONE_SECOND) if resumed else reading_to
    return SweepPlan(
        window=Window(int(start.timestamp()), int(end.timestamp())),
        reading_to=reading_to,
        lost=lost,
        is_first=state.swept_to is None,
        resumes=resumed is not None,
        undelivered_first=resumed is None and now - start <= UNDELIVERED_FIRST,
    )


def is_missed(event: ReceivedEvent, now: datetime) -> bool:
    """Whether an event that only the sweep brought should have come by webhook long before."""
    return event.created_at <= now - PATIENCE


@dataclass
class Swept:
    """What one sweep found.

    Units: events. `listed` counts what Stripe listed, `new` what the inbox did not know, `missed`
    those of them that a webhook should have brought; none in a first sweep, which brings history.
    """

    listed: int = 0
    new: int = 0
    missed: int = 0
    requests: int = 0
    is_first: bool = False
    first_missed_at: datetime | None = None
    last_missed_at: datetime | None = None
    lost: list[LostSpan] = field(default_factory=list)

    def count(self, listed: int, new: Sequence[ReceivedEvent], now: datetime) -> None:
        """Add one page."""
        self.listed += listed
        self.new += len(new)
        missed = [] if self.is_first else [e.created_at for e in new if is_missed(e, now)]
        if missed:
            self.missed += len(missed)
            self.first_missed_at = min(missed + _known(self.first_missed_at))
            self.last_missed_at = max(missed + _known(self.last_missed_at))


def sweep(
    reader: StripeReader,
    store: BillingStore,
    sweeps: SweepStore,
    *,
    now: datetime,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Swept:
    """Read the events list up to now and store what the inbox does not know.

    Idempotent, also beside another sweep. Each page is stored before the next is asked for, so a
    kill repeats one page. `swept_to` moves only when Stripe said that the list had ended.
    Raises: StripeError and its kinds, naming the list and window; RemoteUnavailableError.
    """
    scope = reader.scope
    before = reader.request_count
    state = sweeps.load(scope)
    swept = Swept(is_first=state.swept_to is None)
    while True:
        plan = plan_sweep(state, now)
        if plan.lost is not None:
            sweeps.insert_outage(scope, plan.lost, now=now)
            swept.lost.append(plan.lost)
            _log.error("events_lost", lost_from=plan.lost.start, lost_to=plan.lost.end)
        _read(plan, reader, store, sweeps, swept, now=now)
        sweeps.finish(scope, plan.reading_to, now=clock())
        if not plan.resumes:
            break
        state = SweepState(swept_to=plan.reading_to)
    swept.requests = reader.request_count - before
    return swept


def _read(
    plan: SweepPlan,
    reader: StripeReader,
    store: BillingStore,
    sweeps: SweepStore,
    swept: Swept,
    *,
    now: datetime,
) -> None:
    """Store all events of the plan's window, the undelivered ones first."""
    if plan.undelivered_first:
        for page in reader.list_window("events", *plan.window, _UNDELIVERED):
            _keep(page, reader, store, swept, now=now)
    ended = False
    for page in reader.list_window("events", *plan.window):
        ended = not page.has_more
        created = _keep(page, reader, store, swept, now=now)
        if created is not None:
            sweeps.save_page(reader.scope, unread_to=created, reading_to=plan.reading_to)
    if not ended:
        raise IncompleteError(f"events of {plan.window} stopped before the end")


def _keep(
    page: Page, reader: StripeReader, store: BillingStore, swept: Swept, *, now: datetime
) -> datetime | None:
    """Store one page's events; when the oldest of them was created, None for an empty page.

    Types that change nothing we keep are left out, as a webhook endpoint would leave them out.
    """
    account_id = reader.scope.account_id
    events = []
    for raw in page.raws:
        body = raw.encode()
        envelope = parse_envelope(body)
        handling = decide(envelope).handling
        if handling is Handling.IGNORE:
            continue
        events.append(
            received_event(envelope, body, account_id=account_id, received_at=now, source="sweep")
        )
    new = store.insert_events(events) if events else set()
    fresh = [e for e in events if (e.account_id, e.livemode, e.event_id) in new]
    swept.count(len(page.objects), fresh, now)
    if not page.objects:
        return None
    return datetime.fromtimestamp(min(found["created"] for found in page.objects), UTC)


def _whole(instant: datetime) -> datetime:
    """The second an instant lies in."""
    return instant.replace(microsecond=0)


def _known(instant: datetime | None) -> list[datetime]:
    return [] if instant is None else [instant]
