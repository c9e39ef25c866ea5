"""From states of one object, told by events or fetched, in any order, to its state now. Pure.

The result is a function of the set of states alone: arrival order cannot matter, because no rule
asks for it. Contract: docs/stripe.md, "Order", "Statuses" and "Deletions and tombstones".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Any, Final, Literal, NamedTuple

import orjson

_LAST_SECOND: Final = 253_402_300_799  # 9999-12-31T23:59:59Z

# Status -> rank; a higher one follows a lower one. Source: docs/stripe.md, "Statuses".
RANKS: Final[Mapping[str, Mapping[str, int]]] = {
    "subscription": {
        "incomplete": 0,
        **dict.fromkeys(("trialing", "active", "past_due", "unpaid", "paused"), 1),
        **dict.fromkeys(("canceled", "incomplete_expired"), 2),
    },
    "invoice": {"draft": 0, "open": 1, "uncollectible": 2, "paid": 3, "void": 3},
    "invoice_payment": {"open": 0, "paid": 1, "canceled": 1},
    "payment_intent": {
        **dict.fromkeys(
            ("requires_payment_method", "requires_confirmation", "requires_action", "processing"), 0
        ),
        "requires_capture": 1,
        "succeeded": 2,
        "canceled": 2,
    },
    "charge": {"pending": 0, "failed": 1, "succeeded": 1},
    "refund": {"pending": 0, "requires_action": 0, "succeeded": 1, "failed": 2, "canceled": 2},
    "dispute": {
        **dict.fromkeys(("warning_needs_response", "warning_under_review"), 0),
        **dict.fromkeys(("needs_response", "under_review"), 1),
        **dict.fromkeys(("warning_closed", "won", "lost", "prevented"), 2),
    },
    "payout": {"pending": 0, "in_transit": 1, "paid": 2, "failed": 3, "canceled": 3},
    "balance_transaction": {"pending": 0, "available": 1},
    "credit_note": {"issued": 0, "void": 1},
    "checkout.session": {"open": 0, "complete": 1, "expired": 1},
    "subscription_schedule": {
        **{"not_started": 0, "active": 1},
        **dict.fromkeys(("completed", "canceled", "released"), 2),
    },
}
# A status nothing leaves. Refunds, disputes and payouts have none: a succeeded refund may fail.
FINAL: Final[Mapping[str, frozenset[str]]] = {
    "subscription": frozenset({"canceled", "incomplete_expired"}),
    "invoice": frozenset({"paid", "void"}),
    "payment_intent": frozenset({"succeeded", "canceled"}),
}
# Rank is no proof for these: money came back after "succeeded", "paid" and "lost". Ask Stripe.
_ASK_STRIPE: Final = frozenset({"charge", "refund", "dispute", "invoice", "payout"})
# Stripe makes these anew with every answer; they say nothing about the object's state.
VOLATILE: Final = frozenset(
    {"client_secret", "hosted_invoice_url", "invoice_pdf", "next_action", "pdf", "receipt_url"}
)
# Ids people choose can be used again after a deletion.
_CHOSEN_IDS: Final = frozenset({"coupon", "plan", "product"})
# An event of a second may have happened at its end, and the clocks of Stripe's servers differ by
# up to two: what begins after it is newer for certain.
SETTLED_AFTER: Final = timedelta(seconds=3)
# `customer.subscription.deleted` is missing here: it means canceled, the object stays readable.
_TOMBSTONE_TYPES: Final = frozenset(
    {
        "customer.deleted",
        "invoice.deleted",
        "invoiceitem.deleted",
        "product.deleted",
        "price.deleted",
        "plan.deleted",
        "coupon.deleted",
    }
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state of one object as Stripe told it.

    Units: `[state_from, state_at]` is when Stripe said so: one second for an event, the interval
    of the request for a fetch. `previous` is the event's `previous_attributes`. `is_tombstone` for
    a fetch that found the object gone (then `payload` may be empty), and for a state read back from
    the mirror, where the event's type is not kept.
    """

    object: str
    object_id: str
    payload: dict[str, Any]
    api_version: str
    state_from: datetime
    state_at: datetime
    origin: Literal["event", "fetch"]
    event_id: str | None = None
    event_type: str | None = None
    previous: Mapping[str, Any] | None = None
    is_tombstone: bool = False

    @property
    def created_at(self) -> datetime | None:
        """When the object was made, as it says itself; None for one that does not say it."""
        created = self.payload.get("created")
        if not isinstance(created, int) or not 0 <= created <= _LAST_SECOND:
            return None
        return datetime.fromtimestamp(created, UTC)

    @property
    def deletes(self) -> bool:
        """Whether this state says that the object is gone."""
        return self.is_tombstone or self.event_type in _TOMBSTONE_TYPES


@dataclass(frozen=True, slots=True)
class State:
    """An object's newest known state.

    `undecided`: two states of one instant could not be ordered without asking Stripe; the choice
    is still the same in every order. `deleted_at`: tombstone, None while the object lives.
    Units: the snapshot's `[state_from, state_at]` covers all states of its instant: what ended
    before it is older for certain, what begins after it is newer than all that is known.
    """

    snapshot: Snapshot
    undecided: bool = False
    deleted_at: datetime | None = None

    @property
    def is_told(self) -> bool:
        """Whether anything but its end is known of the object."""
        return bool(self.snapshot.payload)

    def equals(self, other: State) -> bool:
        """Whether the mirror would hold the same row for both."""
        mine, theirs = self.snapshot, other.snapshot
        return (
            (self.undecided, self.deleted_at) == (other.undecided, other.deleted_at)
            and (mine.state_from, mine.state_at) == (theirs.state_from, theirs.state_at)
            and (mine.origin, mine.event_id) == (theirs.origin, theirs.event_id)
            and (mine.api_version, mine.payload) == (theirs.api_version, theirs.payload)
        )


class Change(StrEnum):
    """Whether the known state is another one now."""

    TAKEN = "taken"
    KEPT = "kept"


class Merge(NamedTuple):
    """Outcome of one merge: whether anything changed, and the state then."""

    decision: Change
    state: State


def merge(
    current: State | None, incoming: Sequence[Snapshot], history: Sequence[Snapshot] = ()
) -> Merge:
    """The state after more snapshots: what `fold` says of all there ever were.

    `current` stands for all snapshots merged before, unless `needs_history`: then `history` must
    hold them, of an object that lives at least those from `current`'s instant on.
    """
    if current is None:
        return Merge(Change.TAKEN, fold([*history, *incoming]))
    if not needs_history(current, incoming):
        state = fold([current.snapshot, *incoming])
        if _is_same(state.snapshot, current.snapshot):
            return Merge(Change.KEPT, current)  # nothing newer arrived
        return Merge(Change.TAKEN, state)
    # A fetched `current` is in the history too, with the instant that was its own.
    told = [current.snapshot] if current.snapshot.event_id and not current.deleted_at else []
    state = fold([*history, *told, *incoming])
    if state.equals(current):
        return Merge(Change.KEPT, current)
    return Merge(Change.TAKEN, state)


def needs_history(current: State, incoming: Iterable[Snapshot]) -> bool:
    """Whether the known state alone cannot tell what more snapshots make of the object.

    Inside one instant every state of it counts: an earlier one may be the missing link. Of an
    object that is gone, or may be, all states count: the last incarnation may not be the one that
    ended.
    """
    if current.deleted_at is not None or may_be_reborn(current):
        return True
    known = current.snapshot
    return any(
        snapshot.deletes
        or (
            (snapshot.event_id is None or snapshot.event_id != known.event_id)
            and snapshot.state_from <= known.state_at
            and known.state_from <= snapshot.state_at
        )
        for snapshot in incoming
    )


def may_be_reborn(state: State) -> bool:
    """Whether only all states tell if this is a new object or the deleted one of its id."""
    return state.undecided and state.snapshot.object in _CHOSEN_IDS


def is_lifted(tombstone: State, told: Snapshot) -> bool:
    """Whether a living state shows that the id of a deleted object is, or may be, in use again."""
    gone_at = tombstone.deleted_at
    if gone_at is None:
        return False
    grave = replace(tombstone.snapshot, is_tombstone=True, state_from=gone_at, state_at=gone_at)
    return fold([grave, told]).deleted_at is None


def fold(snapshots: Iterable[Snapshot]) -> State:
    """The newest state of one object, from its known states in any order, repeated or not.

    Raises: ValueError for no snapshot at all.
    """
    distinct = _without_repeats(snapshots)
    if not distinct:
        raise ValueError("an object without a state has no newest one")
    graves = [snapshot for snapshot in distinct if snapshot.deletes]
    alive = [snapshot for snapshot in distinct if not snapshot.deletes]
    if not graves:
        return _newest([snapshot for snapshot in alive if is_final(snapshot)] or alive)
    births = [(snapshot, _rebirth(snapshot, graves)) for snapshot in alive]
    reborn = [snapshot for snapshot, birth in births if birth is not _Birth.NONE]
    if not reborn:
        return _buried(graves, alive)
    state = _newest(reborn)
    is_certain = any(birth is _Birth.CERTAIN for _, birth in births)
    return state if is_certain else replace(state, undecided=True)


def in_order(snapshots: Iterable[Snapshot]) -> list[Snapshot]:
    """States of one object that lives, oldest first: by time, and inside an instant as `fold` does.

    Shapes: a set of states has one order, however it is given; each event once.
    """
    rest = sorted(_without_repeats(snapshots), key=lambda told: (told.state_from, told.state_at))
    newest_first = []
    while rest:
        begun = rest[-1].state_from
        latest = [snapshot for snapshot in rest if snapshot.state_at >= begun]
        last = latest[0] if len(latest) == 1 else _decided(latest).snapshot
        newest_first.append(last)
        rest = [snapshot for snapshot in rest if snapshot is not last]
    return newest_first[::-1]


def is_final(snapshot: Snapshot) -> bool:
    """Whether the object's status is one that nothing leaves."""
    status = snapshot.payload.get("status")
    return isinstance(status, str) and status in FINAL.get(snapshot.object, frozenset())


def says_the_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two payloads are one state of an object, in two ways of telling it.

    A field that is null and one that is absent say the same; so do an id and the whole object that
    was expanded in its place, and a nested list and its first ten. `VOLATILE` fields say nothing.
    """
    return one == other or _says_the_same(_content(one), _content(other))


def undo(payload: Mapping[str, Any], previous: Mapping[str, Any]) -> dict[str, Any]:
    """The object before an update: its `previous_attributes` put back.

    A changed list is given whole, of a changed hash only the changed keys. A key that did not
    exist before is given as null.
    """
    before = dict(payload)
    for key, value in previous.items():
        now = before.get(key)
        if isinstance(value, Mapping) and isinstance(now, Mapping):
            before[key] = undo(now, value)
        else:
            before[key] = value
    return before


# --- one instant, several states -----------------------------------------------------------------


@dataclass(slots=True)
class _Node:
    """One distinct state of an instant, the snapshots that show it, and the steps in and out."""

    content: Mapping[str, Any]
    shown_by: list[Snapshot]
    steps_in: int = 0
    steps_out: int = 0

    @property
    def best(self) -> Snapshot:
        return max(self.shown_by, key=_by_name)

    @property
    def has_birth(self) -> bool:
        """Whether one of its snapshots is the object's first state."""
        return any(_ends_with(shown, ".created") for shown in self.shown_by)

    def only(self, suffix: str) -> bool:
        """Whether all its snapshots come from events whose type ends so."""
        return all(_ends_with(shown, suffix) for shown in self.shown_by)


def _buried(graves: Sequence[Snapshot], alive: Sequence[Snapshot]) -> State:
    """The tombstone: gone since the first word of it, with the fullest state that is known.

    A fetch that finds nothing brings no content, so the last one alive stays readable.
    """
    births = [
        born
        for snapshot in (*graves, *alive)
        if snapshot.object in _CHOSEN_IDS and (born := snapshot.created_at) is not None
    ]
    born_at = max(births, default=None)
    own = [grave for grave in graves if born_at is None or grave.state_at >= born_at] or graves
    first = min(own, key=_recency)
    told = [grave for grave in own if "created" in grave.payload]
    if told:
        content = min(told, key=_recency)
    elif alive:
        content = _newest([snapshot for snapshot in alive if is_final(snapshot)] or alive).snapshot
    else:
        content = first
    return State(content, deleted_at=first.state_at)


def _newest(snapshots: Sequence[Snapshot]) -> State:
    """The latest state; where time cannot tell, by chain, by birth and end, by rank, by name."""
    begun = max(snapshot.state_from for snapshot in snapshots)
    latest = [snapshot for snapshot in snapshots if snapshot.state_at >= begun]
    if len(latest) == 1:
        return State(latest[0])
    ended = max(snapshot.state_at for snapshot in latest)
    state = _decided(latest)
    return replace(state, snapshot=replace(state.snapshot, state_from=begun, state_at=ended))


def _decided(latest: Sequence[Snapshot]) -> State:
    """The last of several states that time cannot order."""
    if any(snapshot.origin == "fetch" for snapshot in latest):
        latest = sorted(latest, key=_by_name)  # one content may resemble two that differ
    nodes = _distinct_states(latest)
    if len(nodes) == 1:
        return State(nodes[0].best)
    nodes = _without_births(nodes)
    if len(nodes) == 1:
        return State(nodes[0].best)
    ends = _chain_ends(nodes, latest)
    if len(ends) == 1:
        return State(ends[0].best)
    return _by_rank(ends)


def _distinct_states(snapshots: Iterable[Snapshot]) -> list[_Node]:
    nodes: list[_Node] = []
    for snapshot in snapshots:
        content = _content(snapshot.payload)
        node = _find(nodes, content)
        if node is None:
            nodes.append(_Node(content, [snapshot]))
        else:
            node.shown_by.append(snapshot)
    return nodes


def _without_births(nodes: list[_Node]) -> list[_Node]:
    """States that something follows for certain: `*.created` is first, a cancellation is last."""
    last = [node for node in nodes if node.only(".deleted")]
    if last:
        return last
    later = [node for node in nodes if not node.only(".created")]
    return later or nodes


def _chain_ends(nodes: list[_Node], snapshots: Iterable[Snapshot]) -> list[_Node]:
    """States where a chain of `previous_attributes` ends.

    Each update is a step from the state it undoes to the state it shows. In a whole chain the
    steps balance in every state but the first and the last; so the last is found without knowing
    the order, even when a state comes twice. A closed ring has no end: all its states stay.
    """
    beginnings: list[_Node] = []
    for snapshot in snapshots:
        after = _find(nodes, _content(snapshot.payload))
        if snapshot.previous is None or after is None:
            continue
        content = _content(undo(snapshot.payload, snapshot.previous))
        before = _find(nodes, content) or _find(beginnings, content)
        if before is after:
            continue  # an update that changes nothing is no step: the state may be the last or not
        if before is None:
            before = _Node(content, [])
            beginnings.append(before)
        before.steps_out += 1
        after.steps_in += 1
    for node in nodes:
        node.steps_in += node.has_birth  # the step from nothing, which opens a ring
    ends = [node for node in nodes if node.steps_in > node.steps_out]
    loose = [node for node in nodes if node.steps_in == node.steps_out == 0]
    return [*ends, *loose] or nodes


def _by_rank(nodes: Sequence[_Node]) -> State:
    highest = max(_rank(node.best) for node in nodes)
    leaders = [node.best for node in nodes if _rank(node.best) == highest]
    if len(leaders) == 1 and highest >= 0 and leaders[0].object not in _ASK_STRIPE:
        return State(leaders[0])
    return State(
        max(leaders, key=lambda leader: (_progress(leader), _by_name(leader))), undecided=True
    )


def _rank(snapshot: Snapshot) -> int:
    """Rank of the status; -1 for one this version does not know, or an object without one."""
    status = snapshot.payload.get("status")
    return RANKS.get(snapshot.object, {}).get(status, -1) if isinstance(status, str) else -1


# How far an object has got, beyond its status: amounts and links that as a rule only grow.
_PROGRESS: Final[Mapping[str, Callable[[Mapping[str, Any]], tuple[int, ...]]]] = {
    "charge": lambda charge: (
        int(charge.get("captured") is True),
        _whole(charge.get("amount_captured")),
        _whole(charge.get("amount_refunded")),
        int(charge.get("disputed") is True),
        int(charge.get("balance_transaction") is not None),
    ),
    "refund": lambda refund: (
        int(refund.get("failure_balance_transaction") is not None),
        int(refund.get("balance_transaction") is not None),
    ),
    "dispute": lambda dispute: (len(dispute.get("balance_transactions") or ()),),
    "invoice": lambda invoice: (
        _whole(invoice.get("amount_paid")),
        _whole(invoice.get("attempt_count")),
    ),
}


def _progress(snapshot: Snapshot) -> tuple[int, ...]:
    measure = _PROGRESS.get(snapshot.object)
    return measure(snapshot.payload) if measure else ()


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _recency(snapshot: Snapshot) -> tuple[datetime, str]:
    return snapshot.state_at, snapshot.event_id or ""


def _is_same(one: Snapshot, other: Snapshot) -> bool:
    return one is other or (one.event_id is not None and one.event_id == other.event_id)


def _by_name(snapshot: Snapshot) -> tuple[datetime, str, str, bytes]:
    """An order that means nothing but is the same everywhere, also for states without event id."""
    text = orjson.dumps(snapshot.payload, option=orjson.OPT_SORT_KEYS)
    return *_recency(snapshot), snapshot.api_version, text


def _ends_with(snapshot: Snapshot, suffix: str) -> bool:
    return snapshot.event_type is not None and snapshot.event_type.endswith(suffix)


class _Birth(IntEnum):
    """Whether a state belongs to a new object that took the id of a deleted one."""

    NONE = 0
    POSSIBLE = 1
    CERTAIN = 2


def _rebirth(snapshot: Snapshot, graves: Sequence[Snapshot]) -> _Birth:
    """Whether a state outlived every end of an object of its id."""
    born_at = snapshot.created_at
    if snapshot.object not in _CHOSEN_IDS or born_at is None:
        return _Birth.NONE
    return min(_birth_after(grave, snapshot, born_at) for grave in graves)


def _birth_after(grave: Snapshot, snapshot: Snapshot, born_at: datetime) -> _Birth:
    """Births are told in whole seconds: one in the second of an end was before or after it."""
    if born_at > grave.state_at:
        return _Birth.CERTAIN
    if born_at < grave.state_from.replace(microsecond=0):
        return _Birth.NONE
    ended = grave.created_at
    if snapshot.state_from >= grave.state_at + SETTLED_AFTER or (ended and ended < born_at):
        return _Birth.CERTAIN
    if snapshot.origin == "fetch":
        return _Birth.POSSIBLE if snapshot.state_from > grave.state_at else _Birth.NONE
    return _Birth.NONE if says_the_same(snapshot.payload, grave.payload) else _Birth.POSSIBLE


def _without_repeats(snapshots: Iterable[Snapshot]) -> list[Snapshot]:
    """Each event once. The ledger's copy is preferred: it still has `previous_attributes`."""
    by_event: dict[object, Snapshot] = {}
    for snapshot in snapshots:
        key = snapshot.event_id or (snapshot.state_from, snapshot.state_at, id(snapshot))
        known = by_event.get(key)
        if known is None or (known.event_type is None and snapshot.event_type is not None):
            by_event[key] = snapshot
    return list(by_event.values())


def _find(nodes: Iterable[_Node], content: Mapping[str, Any]) -> _Node | None:
    return next((node for node in nodes if _says_the_same(node.content, content)), None)


def _says_the_same(one: Any, other: Any) -> bool:
    """Whether two bare contents are one state of the object, told in two ways.

    A fetch gives whole objects where an event gives their ids, and more of a nested list than the
    ten of an event.
    """
    if one == other:
        return True
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        if _is_list(one) and _is_list(other) and one.get("has_more") != other.get("has_more"):
            return _is_beginning(one, other) or _is_beginning(other, one)
        return one.keys() == other.keys() and all(
            _says_the_same(value, other[key]) for key, value in one.items()
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_says_the_same, one, other))
    return _names(one, other) or _names(other, one)


def _is_list(value: Mapping[str, Any]) -> bool:
    return value.get("object") == "list" and isinstance(value.get("data"), list)


def _is_beginning(cut: Mapping[str, Any], whole: Mapping[str, Any]) -> bool:
    """Whether a nested list that says it has more is the beginning of a whole one."""
    shown, known = cut["data"], whole["data"]
    return (
        cut.get("has_more") is True
        and len(shown) < len(known)
        and all(map(_says_the_same, shown, known[: len(shown)]))
    )


def _names(reference: object, whole: object) -> bool:
    """Whether an id stands for an object that the other state gives whole."""
    return (
        isinstance(reference, str)
        and isinstance(whole, Mapping)
        and whole.get("id") == reference
        and "object" in whole
    )


def _content(payload: Mapping[str, Any]) -> Any:
    """What a payload says of its object."""
    return _bare({name: value for name, value in payload.items() if name not in VOLATILE})


def _bare(value: Any) -> Any:
    """The value without nulls: a field that is null and one that is absent say the same."""
    if isinstance(value, Mapping):
        return {key: _bare(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_bare(item) for item in value]
    return value
