"""What the mirror knows about the objects that billing events name. Pure; no statement is here.

States of a subscription are read through the adapters of the API versions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.stripe_api.versions import adapter_for

_NOT_STARTED: Final = frozenset({"incomplete", "incomplete_expired"})


class State(NamedTuple):
    """One state of a subscription that Stripe told.

    `seen_from`, `seen_at`: it was so at some instant between them. `prices`: price and quantity of
    each item. `is_partial`: more items than were told. `begins`, `ends`: instants at which it was
    made or started (or its trial became paid) and was cancelled (or ended), as far as it says.
    """

    seen_from: datetime
    seen_at: datetime
    status: str
    is_paused: bool
    prices: frozenset[tuple[str, int | None]]
    is_partial: bool = False
    trial_start: datetime | None = None
    begins: tuple[datetime, ...] = ()
    ends: tuple[datetime, ...] = ()
    is_ending: bool = False
    made_at: datetime | None = None

    @property
    def has_started(self) -> bool:
        """Whether the first payment, or a trial, has made it a subscription that counts."""
        return self.status not in _NOT_STARTED


class Charge(NamedTuple):
    """One attempt to pay. Units: `amount_minor` is what was captured, minor units of currency."""

    is_settled: bool
    has_failed: bool
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the mirror knows about one object.

    `customer` is None where the object names none. `status` is Stripe's word for a payment intent
    or refund; `amount_minor` and `currency` are a refund's. `has_failed`: Stripe told that an
    attempt to pay an intent failed, which leaves no charge where the authentication failed.
    """

    customer: str | None = None
    status: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    states: tuple[State, ...] = ()
    charges: tuple[Charge, ...] = ()
    has_failed: bool = False


def read_states(rows: Iterable[Mapping[str, Any]]) -> tuple[State, ...]:
    """States of one subscription in the order in which they were true.

    `rows`: `body` (JSON text of an event or of the object), `api_version`, `state_from`,
    `state_at`. A state that no adapter can read is left out: it says nothing either way.
    """
    states = [state for row in rows if (state := _read_state(row)) is not None]
    return tuple(sorted(states, key=lambda one: (one.seen_at, one.seen_from)))


def _read_state(row: Mapping[str, Any]) -> State | None:
    try:
        body = json.loads(bytes(row["body"]))
        found = body["data"]["object"] if body.get("object") == "event" else body
        return _state(found, row)
    except (UnknownValueError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _state(found: dict[str, Any], row: Mapping[str, Any]) -> State:
    adapter = adapter_for(str(row["api_version"]))
    items = found["items"]["data"]
    trials = [trial for item in items if (trial := adapter.trial_of(found, item)) is not None]
    pause = found.get("pause_collection")
    made = found.get("created")
    starts = dict.fromkeys([made, found.get("start_date"), *(end for _, end in trials)])
    return State(
        seen_from=row["state_from"],
        seen_at=row["state_at"],
        status=str(found["status"]),
        is_paused=bool(pause) or found["status"] == "paused",
        prices=frozenset(
            (price, adapter.quantity_of(item))
            for item in items
            if (price := adapter.price_of(item)) is not None
        ),
        is_partial=bool(found["items"].get("has_more")),
        trial_start=_instant(min(begin for begin, _ in trials)) if trials else None,
        begins=_instants(starts),
        ends=_instants([found.get("canceled_at"), found.get("ended_at")]),
        is_ending=bool(found.get("cancel_at_period_end") or found.get("cancel_at")),
        made_at=None if made is None else _instant(made),
    )


def _instants(seconds: Iterable[Any]) -> tuple[datetime, ...]:
    return tuple(_instant(one) for one in seconds if one is not None)


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
