"""Applies the inbox to the mirror and books payments; whatever the order, the rows are the same.

The rules are in `inbox.py`, `fold.py` and `payments.py`, the statements in `store.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import structlog

from growth_pipeline.billing.fold import Snapshot, State, says_the_same
from growth_pipeline.billing.inbox import Envelope, Handling, Unreadable, decide, parse_envelope
from growth_pipeline.billing.ledger import (
    ODD,
    Written,
    book,
    fold_into_mirror,
    reason_of,
    settled_at,
    snapshot_of_event,
)
from growth_pipeline.billing.payments import check_shape
from growth_pipeline.billing.store import (
    BillingStore,
    EventFate,
    MirrorTurn,
    Question,
    WaitingEvent,
)
from growth_pipeline.billing.tables import ObjectKey
from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month
from growth_pipeline.stripe_api.versions import adapter_for

_log: Final = structlog.get_logger(__name__)


class Applied(NamedTuple):
    """Number of events by what became of them."""

    applied: int = 0
    ignored: int = 0
    quarantined: int = 0

    def plus(self, other: Applied) -> Applied:
        """Both numbers together."""
        return Applied(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class _Reading(NamedTuple):
    """One event with its fate, and the state it brings if it is applied."""

    fate: EventFate
    key: ObjectKey | None = None
    snapshot: Snapshot | None = None
    question: Question | None = None

    def with_effect(self, written: Written) -> _Reading:
        """The same with what the event did to its object's row."""
        if self.key is None or self.snapshot is None:
            return self
        effect = _effect(self.snapshot, written.before.get(self.key), written.after.get(self.key))
        return self._replace(fate=self.fate._replace(effect=effect))


def apply_waiting(
    store: BillingStore,
    *,
    now: datetime,
    batch: int = 500,
    is_stopping: Callable[[], bool] = lambda: False,
) -> Applied:
    """Apply all events that wait, in batches; each batch is one transaction.

    Idempotent and safe to run in several processes at once. An event that cannot be applied is
    quarantined with its reason and holds nobody up. In a dry run each event is tried once.
    `is_stopping` is asked between batches.
    Raises: RemoteUnavailableError (retryable) when the database is away; nothing is lost.
    """
    total = Applied()
    position: tuple[datetime, str] | None = None
    while not is_stopping():
        events, done = _apply_next(store, position, now=now, batch=batch)
        total = total.plus(done)
        if events:
            position = events[-1].position
        elif position is None or store.dry_run:
            return total
        else:
            position = None  # events older than the last one may have arrived meanwhile
    return total


def rebuild_payments(store: BillingStore, scope: Scope, month: Month, now: datetime) -> int:
    """Book all payments of a month again from the mirror; the number of its charges.

    Idempotent: rows that are right already stay untouched. Rows of other writers are not touched.
    Raises: UnknownValueError naming the charge that no payment can be booked from.
    """
    count, after = 0, ""
    while True:
        with store.mirror_turn() as turn:
            charges = turn.charges_created(
                scope, month.start, month.end, after=after, limit=_REBUILD_BATCH
            )
            turn.upsert_payments(book(turn.load_charge_parts(charges)), now=now)
        if not charges:
            return count
        count, after = count + len(charges), charges[-1].id


_REBUILD_BATCH: Final = 1000


def _apply_next(
    store: BillingStore, position: tuple[datetime, str] | None, *, now: datetime, batch: int
) -> tuple[Sequence[WaitingEvent], Applied]:
    events: list[WaitingEvent] = []
    try:
        with store.mirror_turn() as turn:
            events = turn.claim(batch, position)
            return events, apply_batch(turn, events, now=now)
    except ODD as error:
        return events, _apply_apart(store, events, error, now=now)


def _apply_apart(
    store: BillingStore, events: Sequence[WaitingEvent], error: Exception, *, now: datetime
) -> Applied:
    """Halve a refused batch until the odd event stands alone, and set that one aside.

    An event applied twice on the way changes nothing.
    """
    if not events:
        raise error
    if len(events) == 1:
        fate = EventFate(events[0].key, "quarantined", reason_of(error))
        with store.mirror_turn() as turn:
            return _settle(turn, [fate], now=now)
    middle = len(events) // 2
    total = Applied()
    for half in (events[:middle], events[middle:]):
        try:
            with store.mirror_turn() as turn:
                total = total.plus(apply_batch(turn, half, now=now))
        except ODD as inner:
            total = total.plus(_apply_apart(store, half, inner, now=now))
    return total


def apply_batch(turn: MirrorTurn, events: Sequence[WaitingEvent], *, now: datetime) -> Applied:
    """Apply a batch inside the caller's transaction."""
    if not events:
        return Applied()
    readings = [_read(event, turn.bound_livemode) for event in events]
    incoming: dict[ObjectKey, list[Snapshot]] = defaultdict(list)
    for reading in readings:
        if reading.key is not None and reading.snapshot is not None:
            incoming[reading.key].append(reading.snapshot)
    turn.queue_refetches([reading.question for reading in readings if reading.question], now=now)
    if incoming:
        written = fold_into_mirror(turn, incoming, now=now)
        readings = [reading.with_effect(written) for reading in readings]
        _record_payments(turn, readings, written, now=now)
    return _settle(turn, [reading.fate for reading in readings], now=now)


def _record_payments(
    turn: MirrorTurn, readings: Sequence[_Reading], written: Written, *, now: datetime
) -> None:
    """Tell of each booked payment which events changed it."""
    events = {
        reading.key: reading.fate.key
        for reading in readings
        if reading.key is not None and reading.fate.effect in _CHANGING
    }
    effects = [
        (events[key], charge, written.charges[charge])
        for charge, objects in written.made_of.items()
        for key in objects
        if key in events
    ]
    turn.record_payments(effects, now=now)


def _settle(turn: MirrorTurn, fates: Sequence[EventFate], *, now: datetime) -> Applied:
    turn.mark(fates, now=now)
    for fate in fates:
        if fate.state == "quarantined":
            code = (fate.reason or "").partition(":")[0]
            _log.warning("event_quarantined", event_id=fate.key.event_id, code=code)
    states = [fate.state for fate in fates]
    return Applied(*(states.count(state) for state in ("applied", "ignored", "quarantined")))


def _read(event: WaitingEvent, bound_livemode: bool | None) -> _Reading:
    """What one event says, or why it is not applied."""
    try:
        envelope = parse_envelope(event.body)
    except Unreadable as error:
        return _Reading(EventFate(event.key, "quarantined", f"unreadable: {error}"))
    handling, reason = decide(envelope, bound_livemode=bound_livemode)
    if handling is Handling.FETCH:
        return _read_thin(event, envelope)
    if handling is not Handling.APPLY:
        state = "ignored" if handling is Handling.IGNORE else "quarantined"
        return _Reading(EventFate(event.key, state, reason))
    try:
        adapter = adapter_for(envelope.api_version or "")
    except UnknownValueError as error:
        return _read_unknown_version(event, envelope, error)
    try:
        snapshot = snapshot_of_event(envelope)
        check_shape(snapshot.object, snapshot.payload, adapter=adapter)
    except ODD as error:
        return _Reading(EventFate(event.key, "quarantined", reason_of(error)))
    key = ObjectKey(event.account_id, event.livemode, snapshot.object, snapshot.object_id)
    return _Reading(EventFate(event.key, "applied", None, key.object, key.id), key, snapshot)


def _read_unknown_version(
    event: WaitingEvent, envelope: Envelope, error: UnknownValueError
) -> _Reading:
    """What the event says is not read; its object is asked for in a version that we know."""
    fate = EventFate(event.key, "quarantined", f"unknown_version: {error}")
    named = envelope.payload or {}
    key = ObjectKey(event.account_id, event.livemode, named["object"], named["id"])
    return _Reading(fate, question=Question(key, "thin_event", settled_at(event.created_at)))


def _read_thin(event: WaitingEvent, envelope: Envelope) -> _Reading:
    """A thin event is done when its object is asked for; several ask once."""
    if envelope.related is None:  # never for an event that `decide` lets pass
        raise UnknownValueError(f"{envelope.event_id} names no object")
    key = ObjectKey(event.account_id, event.livemode, *envelope.related)
    fate = EventFate(event.key, "applied", None, key.object, key.id, "fetching")
    question = Question(key, "thin_event", settled_at(event.created_at))
    return _Reading(fate, question=question)


_CHANGING: Final = frozenset({"inserted", "updated", "deleted"})


def _effect(snapshot: Snapshot, before: State | None, after: State | None) -> str:
    """What an event did to its object's row; `billing.inbox.effect` keeps it."""
    if after is not None and after.snapshot.event_id == snapshot.event_id:
        if snapshot.deletes:
            return "deleted"
        return "inserted" if before is None else "updated"
    state = after or before
    if state is not None and says_the_same(state.snapshot.payload, snapshot.payload):
        return "repeated"
    return "superseded"
