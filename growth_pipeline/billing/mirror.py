"""Applies the inbox to the mirror and books payments; whatever the order, the rows are the same.

The rules are in `inbox.py`, `fold.py` and `payments.py`, the statements in `store.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import structlog

from growth_pipeline.billing.fold import Change, Snapshot, State, is_contested, merge
from growth_pipeline.billing.inbox import Envelope, Handling, Unreadable, decide, parse_envelope
from growth_pipeline.billing.payments import (
    Payment,
    book_payment,
    charges_of,
    check_shape,
    intent_of,
)
from growth_pipeline.billing.store import (
    BillingStore,
    ChargePart,
    EventFate,
    MirrorTurn,
    ObjectKey,
    RowsRefusedError,
    WaitingEvent,
)
from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month
from growth_pipeline.stripe_api.versions import adapter_for

_log: Final = structlog.get_logger(__name__)

# What a single odd event can raise. It is set aside with its reason; its neighbours go on.
_ODD_EVENT: Final = (
    *(RowsRefusedError, UnknownValueError),
    *(ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError),
)


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
            turn.upsert_payments(_book(turn.load_charge_parts(charges)), now=now)
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
            return events, _apply(turn, events, now=now)
    except _ODD_EVENT as error:
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
        fate = EventFate(events[0].key, "quarantined", _reason_of(error))
        with store.mirror_turn() as turn:
            return _settle(turn, [fate], now=now)
    middle = len(events) // 2
    total = Applied()
    for half in (events[:middle], events[middle:]):
        try:
            with store.mirror_turn() as turn:
                total = total.plus(_apply(turn, half, now=now))
        except _ODD_EVENT as inner:
            total = total.plus(_apply_apart(store, half, inner, now=now))
    return total


def _apply(turn: MirrorTurn, events: Sequence[WaitingEvent], *, now: datetime) -> Applied:
    """Apply a batch inside the caller's transaction."""
    if not events:
        return Applied()
    readings = [_read(event) for event in events]
    changed = _fold_into_mirror(turn, readings)
    if changed:
        turn.save_states(changed, now=now)
        charges = _charges_touched(turn, changed)
        turn.upsert_payments(_book(turn.load_charge_parts(charges)), now=now)
    return _settle(turn, [reading.fate for reading in readings], now=now)


def _settle(turn: MirrorTurn, fates: Sequence[EventFate], *, now: datetime) -> Applied:
    turn.mark(fates, now=now)
    for fate in fates:
        if fate.state == "quarantined":
            code = (fate.reason or "").partition(":")[0]
            _log.warning("event_quarantined", event_id=fate.key.event_id, code=code)
    states = [fate.state for fate in fates]
    return Applied(*(states.count(state) for state in ("applied", "ignored", "quarantined")))


def _read(event: WaitingEvent) -> _Reading:
    """What one event says, or why it is not applied."""
    try:
        envelope = parse_envelope(event.body)
    except Unreadable as error:
        return _Reading(EventFate(event.key, "quarantined", f"unreadable: {error}"))
    handling, reason = decide(envelope)
    if handling is not Handling.APPLY:
        state = "ignored" if handling is Handling.IGNORE else "quarantined"
        return _Reading(EventFate(event.key, state, reason))
    try:
        adapter = adapter_for(envelope.api_version or "")
    except UnknownValueError as error:
        return _Reading(EventFate(event.key, "quarantined", f"unknown_version: {error}"))
    try:
        snapshot = _snapshot(envelope)
        check_shape(snapshot.object, snapshot.payload, adapter=adapter)
    except _ODD_EVENT as error:
        return _Reading(EventFate(event.key, "quarantined", _reason_of(error)))
    key = ObjectKey(event.account_id, event.livemode, snapshot.object, snapshot.object_id)
    return _Reading(EventFate(event.key, "applied", None, key.object, key.id), key, snapshot)


def _snapshot(envelope: Envelope) -> Snapshot:
    """The state an applicable event brings."""
    payload, at = envelope.payload, envelope.created_at
    if payload is None or at is None:  # never for an event that `decide` lets pass
        raise UnknownValueError(f"{envelope.event_id} carries no object")
    return Snapshot(
        object=payload["object"],
        object_id=payload["id"],
        payload=payload,
        api_version=envelope.api_version or "",
        state_from=at,
        state_at=at,
        origin="event",
        event_id=envelope.event_id,
        event_type=envelope.type,
        previous=envelope.previous,
    )


def _fold_into_mirror(turn: MirrorTurn, readings: Iterable[_Reading]) -> dict[ObjectKey, State]:
    """New states of the objects these events change; unchanged ones are left out."""
    incoming: dict[ObjectKey, list[Snapshot]] = defaultdict(list)
    for reading in readings:
        if reading.key is not None and reading.snapshot is not None:
            incoming[reading.key].append(reading.snapshot)
    known = turn.load_states(incoming)
    rivals = _load_rivals(turn, known, incoming)
    merges = {
        key: merge(known.get(key), snapshots, rivals.get(key, ()))
        for key, snapshots in incoming.items()
    }
    return {key: done.state for key, done in merges.items() if done.decision is Change.TAKEN}


def _load_rivals(
    turn: MirrorTurn, known: dict[ObjectKey, State], incoming: dict[ObjectKey, list[Snapshot]]
) -> dict[ObjectKey, list[Snapshot]]:
    """Earlier events of the objects whose newest state shares its instant with an incoming one."""
    since = {
        key: state.snapshot.state_from
        for key, state in known.items()
        if is_contested(state.snapshot, incoming[key])
    }
    return {
        key: [_snapshot(parse_envelope(body)) for body in bodies]
        for key, bodies in turn.load_rivals(since).items()
    }


def _charges_touched(turn: MirrorTurn, changed: dict[ObjectKey, State]) -> set[ObjectKey]:
    charges: set[ObjectKey] = set()
    intents: set[tuple[str, bool, str]] = set()
    for key, state in changed.items():
        payload = state.snapshot.payload
        charge = charges_of(key.object, payload)
        intent = intent_of(key.object, payload)
        if charge is not None:
            charges.add(ObjectKey(key.account_id, key.livemode, "charge", charge))
        if intent is not None:
            intents.add((key.account_id, key.livemode, intent))
    return charges | turn.charges_of_intents(sorted(intents))


def _book(parts: Iterable[ChargePart]) -> list[tuple[ObjectKey, Payment]]:
    """Payments of the charges among these parts; a refund waits until its charge is known."""
    by_charge: dict[ObjectKey, dict[str, list[ChargePart]]] = {}
    for part in parts:
        by_charge.setdefault(part.charge, defaultdict(list))[part.object].append(part)
    payments = []
    for key, groups in by_charge.items():
        for charge in groups["charge"]:
            payload: dict[str, list[dict[str, Any]]] = {
                name: [part.payload for part in group] for name, group in groups.items()
            }
            payment = book_payment(
                charge.payload,
                payload.get("refund", ()),
                payload.get("dispute", ()),
                adapter=adapter_for(charge.api_version),
                invoice_payments=payload.get("invoice_payment", ()),
            )
            payments.append((key, payment))
    return payments


def _reason_of(error: Exception) -> str:
    """`code: sentence` for the inbox."""
    if isinstance(error, UnknownValueError):
        return f"unknown_value: {error.message}"
    if isinstance(error, RowsRefusedError):
        return f"refused_by_database: {error.message}"
    return f"unexpected: {type(error).__name__}: {error}"
