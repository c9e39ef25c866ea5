"""Which objects can still change, how Stripe lists them, and what changes along with them.

Pure: no I/O, no clock. Reading and repairing is `relist.py`. Contract: docs/stripe.md, "Listing
again"; statuses: docs/stripe.md, "Order".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from growth_pipeline.billing.objects import BY_OBJECT, Listing
from growth_pipeline.billing.sweep import LostSpan
from growth_pipeline.stripe_api.pages import PAGE_SIZE
from growth_pipeline.stripe_api.time_windows import Window

# Objects of one kind that a night asks for one by one, at most; the others have other nights.
ASKED_A_NIGHT: Final = 2_000


class List(NamedTuple):
    """One list to read to its end: its parameters beside the window."""

    params: Mapping[str, str]
    window: Window


@dataclass(frozen=True)
class Watch:
    """One kind of object that changes without our hearing of it.

    `statuses` are the lists to read, one a status; None is the list without that filter, and no
    status at all no list. `days` is the age up to which the list is read, None for any age.
    `closed` are the statuses that nothing leaves; what is known in any other is looked for.
    """

    object: str
    statuses: tuple[str | None, ...] = (None,)
    days: int | None = None
    closed: frozenset[str] = frozenset()


class Unseen(NamedTuple):
    """An object that no list showed. `newer` of its kind, itself included, were made since then."""

    id: str
    created_at: datetime
    newer: int


@dataclass(frozen=True)
class Sight:
    """What is read of one kind now: its lists, and who is asked for when no list shows it.

    Of the objects that the mirror knows alive and created before `until`: those created from
    `since` on, and those in a status that is not `closed`. `limit` bounds how many are asked for
    that are older than `since`.
    """

    object: str
    lists: tuple[List, ...]
    since: datetime | None
    until: datetime
    closed: frozenset[str] = field(default_factory=frozenset)
    limit: int | None = None


def _watch(
    object_name: str, *closed: str, statuses: tuple[str | None, ...] = (None,), days: int | None
) -> Watch:
    return Watch(object_name, statuses, days, frozenset(closed))


# Source: docs/stripe.md, "Listing again". Refunds and payouts are open longer than their status
# says: one that succeeded may still fail. The default list of subscriptions is all but the
# cancelled ones.
WATCHES: Final = (
    _watch("product", days=None),
    _watch("price", days=None),
    _watch("coupon", days=None),
    _watch("promotion_code", days=None),
    _watch("subscription", "canceled", "incomplete_expired", days=None),
    _watch("subscription_schedule", "completed", "canceled", "released", statuses=(), days=None),
    _watch("invoice", "paid", "void", statuses=("draft", "open", "uncollectible"), days=None),
    _watch("invoice_payment", "paid", "canceled", statuses=("open",), days=None),
    _watch("checkout.session", "complete", "expired", statuses=("open",), days=None),
    _watch("payment_intent", "succeeded", "canceled", days=10),
    _watch("charge", "succeeded", "failed", days=10),
    _watch("refund", "succeeded", "failed", "canceled", days=60),
    _watch("dispute", "warning_closed", "won", "lost", "prevented", days=180),
    _watch("payout", "paid", "failed", "canceled", days=15),
    _watch("balance_transaction", "available", days=10),
)
# After an outage also: whoever may have been deleted, and what may have been voided.
OUTAGE_WATCHES: Final = (
    _watch("customer", days=None),
    *WATCHES,
    _watch("credit_note", "issued", "void", days=90),
    _watch("plan", statuses=(), days=None),
)


def nightly_sights(now: datetime) -> list[Sight]:
    """Everything that can still change, whatever its events said."""
    until = now.replace(microsecond=0)
    sights = []
    for watch in WATCHES:
        since = None if watch.days is None else until - timedelta(days=watch.days)
        lists = _lists(watch, since, until)
        limit = ASKED_A_NIGHT if watch.days is not None or not watch.statuses else None
        sights.append(Sight(watch.object, lists, since, until, watch.closed, limit))
    return sights


def outage_sights(lost: LostSpan, now: datetime) -> list[Sight]:
    """Everything that may have changed in a span whose events are lost.

    What was made after the span is known by its events; what was closed before it cannot have
    changed. Kinds that are listed by status are also listed by creation inside the span.
    """
    today = now.replace(microsecond=0)
    sights = []
    for watch in OUTAGE_WATCHES:
        if watch.days is None:
            lists = _lists(watch, None, today)
            if watch.closed and watch.statuses:
                lists += (list_between(watch.object, lost.start, lost.end),)
            sights.append(Sight(watch.object, lists, None, today, watch.closed))
        else:
            since = lost.start - timedelta(days=watch.days)
            lists = _lists(watch, since, lost.end)
            sights.append(Sight(watch.object, lists, since, lost.end, watch.closed))
    return sights


def list_back_to(unseen: Sequence[Unseen]) -> datetime | None:
    """From when on a list takes fewer requests than asking; None to ask for all of them.

    `unseen` is in order, the newest first. What lies further back is asked for by its id.
    """
    cheapest, start = len(unseen), None
    for place, one in enumerate(unseen, start=1):
        cost = -(-one.newer // PAGE_SIZE) + len(unseen) - place
        if cost < cheapest:
            cheapest, start = cost, one.created_at
    return start


def asked_tonight(
    unseen: Iterable[str], sight: Sight, *, now: datetime
) -> tuple[Sequence[str], int]:
    """Ids to ask for one by one now, and the number of those that have another night.

    Which night is an id's own follows from the id and the day alone, so that each has its turn.
    """
    ids = sorted(unseen)
    nights = -(-len(ids) // sight.limit) if sight.limit else 1
    if nights <= 1:
        return ids, 0
    night = int(now.timestamp()) // 86_400 % nights
    asked = [id_ for id_ in ids if _number(id_) % nights == night]
    return asked, len(ids) - len(asked)


def owners_of(object_name: str, payload: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Objects (kind, id) that change with this one; some of them may be too old for any list."""
    fields = _OWNERS.get(object_name, {})
    owners = [(kind, _id_of(payload.get(name))) for name, kind in fields.items()]
    return [(kind, id_) for kind, id_ in owners if id_ is not None]


def is_told(object_name: str, difference: str, fields: Iterable[str], status: str) -> bool:
    """Whether Stripe sends an event of such a difference, so that somebody should have heard it.

    `status` is the object's at Stripe.
    """
    if object_name in _NEVER_TOLD:
        return False
    if difference == "missing" and status in _UNTOLD.get(object_name, frozenset()):
        return False
    changed = frozenset(fields)
    return not changed or not changed <= _CHANGE_UNTOLD.get(object_name, frozenset())


# Source: Stripe API reference, "Types of events": there is no type for these kinds, for these
# statuses of a kind, and for these fields. A coupon or code changes without one when it is
# redeemed or runs out, a dispute when its evidence is due; tiers of a price and products of a
# coupon are told only to who asks for them.
_NEVER_TOLD: Final = frozenset({"balance_transaction"})
_UNTOLD: Final[Mapping[str, frozenset[str]]] = {
    "checkout.session": frozenset({"open"}),
    "invoice_payment": frozenset({"open", "canceled"}),
}
_CHANGE_UNTOLD: Final[Mapping[str, frozenset[str]]] = {
    "coupon": frozenset({"applies_to", "times_redeemed", "valid"}),
    "price": frozenset({"tiers"}),
    "promotion_code": frozenset({"times_redeemed", "active", "coupon", "promotion"}),
    "dispute": frozenset({"evidence_details"}),
    "invoice": frozenset({"webhooks_delivered_at"}),
}


def changes_inside(object_name: str, payload: Mapping[str, Any]) -> bool:
    """Whether a nested list may have changed beyond the ten entries that a list shows.

    The lines of an invoice are fixed when it is finalized.
    """
    return object_name == "subscription" or payload.get("status") == "draft"


_OWNERS: Final[Mapping[str, Mapping[str, str]]] = {
    "refund": {"charge": "charge", "payment_intent": "payment_intent"},
    "dispute": {"charge": "charge", "payment_intent": "payment_intent"},
    "invoice_payment": {"invoice": "invoice"},
    "credit_note": {"invoice": "invoice"},
}


def _lists(watch: Watch, since: datetime | None, until: datetime) -> tuple[List, ...]:
    start = None if since is None else int(since.timestamp())
    window = Window(start, int(until.timestamp()))
    return tuple(List(_params(watch.object, status), window) for status in watch.statuses)


def list_between(object_name: str, start: datetime, end: datetime) -> List:
    """The list of what was made in a span, in whatever status it is now."""
    window = Window(int(start.timestamp()), int(end.timestamp()))
    return List(BY_OBJECT[object_name].params, window)


def is_listed(object_name: str) -> bool:
    """Whether Stripe lists this kind by the time of creation."""
    return BY_OBJECT[object_name].listing is Listing.BY_CREATION


def _params(object_name: str, status: str | None) -> dict[str, str]:
    """Parameters of a kind's list with this status; the kind's own status gives way."""
    params = {k: v for k, v in BY_OBJECT[object_name].params.items() if k != "status"}
    return params if status is None else params | {"status": status}


def _number(id_: str) -> int:
    return int.from_bytes(hashlib.blake2b(id_.encode(), digest_size=8).digest(), "big")


def _id_of(value: object) -> str | None:
    if isinstance(value, Mapping):
        value = value.get("id")
    return value if isinstance(value, str) else None
