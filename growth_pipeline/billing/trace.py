"""What became of one event: what it did to the mirror and the books, and what its object is now.

Everything was written down when the event was applied; nothing is guessed here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from growth_pipeline.billing.fold import State
from growth_pipeline.billing.store import BillingStore, MirrorTurn, TracedEvent
from growth_pipeline.billing.tables import ObjectKey


class ObjectNow(NamedTuple):
    """An object in the mirror: what told its newest state, and when Stripe said so."""

    key: ObjectKey
    status: str | None
    origin: str
    event_id: str | None
    state_at: datetime
    undecided: bool
    deleted_at: datetime | None


class Trace(NamedTuple):
    """One event and its traces.

    Shapes: `payments` are charges with `inserted` or `updated`; `waits_for` says why Stripe is to
    be asked about the object, None if it is not. `now` is None for an object the mirror lacks.
    """

    event: TracedEvent
    now: ObjectNow | None
    payments: tuple[tuple[str, str], ...]
    waits_for: str | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        now = None
        if self.now is not None:
            now = {name: value for name, value in self.now._asdict().items() if name != "key"}
            now |= self.now.key._asdict()
        return {
            **self.event._asdict(),
            "object_now": now,
            "payments": [{"charge": charge, "effect": effect} for charge, effect in self.payments],
            "waits_for": self.waits_for,
        }


def trace_event(store: BillingStore, event_id: str) -> list[Trace]:
    """Every stored event of an id with what it changed; several only if accounts share the id."""
    events = store.find_events(event_id)
    with store.mirror_turn() as turn:
        return [_trace(turn, event) for event in events]


def _trace(turn: MirrorTurn, event: TracedEvent) -> Trace:
    payments = turn.payments_of_event(event.key)
    if event.object is None or event.object_id is None:
        return Trace(event, None, payments, None)
    key = ObjectKey(event.account_id, event.livemode, event.object, event.object_id)
    state = turn.load_states([key]).get(key)
    now = None if state is None else _object_now(key, state)
    return Trace(event, now, payments, turn.find_refetch(key))


def _object_now(key: ObjectKey, state: State) -> ObjectNow:
    told = state.snapshot
    status = told.payload.get("status")
    return ObjectNow(
        key=key,
        status=status if isinstance(status, str) else None,
        origin=told.origin,
        event_id=told.event_id,
        state_at=told.state_at,
        undecided=state.undecided,
        deleted_at=state.deleted_at,
    )
