"""Why the sides differ, for any finding of any part of the audit. Pure; what is known comes in.

What is known of an object is collected in deliveries.py. Contract: docs/metrics.md, "Causes".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from growth_pipeline.audit.codes import MADE_BY_ROW, Cause

Key = tuple[str, str]
"""(object, id), Stripe's singular word and the object's id."""

Facts = Mapping[str, Any]

OURS: Final = "mirror"
EVENTS_SHOWN: Final = 5

# Nothing of ours went wrong: it is so at Stripe itself.
_AT_STRIPE: Final = frozenset(
    {
        *("refund_stuck", "invoice_paid_no_charge", "balance_unlinked"),
        *("payout_unbalanced", "payout_failed", "payout_late", "duplicate_subscription"),
    }
)
# The class itself says the cause, or that nobody can know it.
_BY_CLASS: Final = {
    "period_cutoff": Cause.CUT_OFF,
    "unknown_version": Cause.QUARANTINED,
    "source_incomplete": Cause.UNKNOWN,
    "bridge_nonzero": Cause.UNKNOWN,
    **dict.fromkeys(_AT_STRIPE, Cause.AT_STRIPE),
}
_FACTORS: Final = (100, 1000)
# Which parts of a charge a class is about: their events would have made the books right.
PART_OF_CODE: Final[Mapping[str, str]] = {
    "refund_missing": "refund",
    "refund_excess": "refund",
    "refund_failed_booked": "refund",
    "dispute_missing": "dispute",
    "dispute_state": "dispute",
}
_PARTS_WEIGHED: Final = 12  # their sums double with each; a charge has one or two
# What the mirror and Stripe are compared in; other fields say nothing about money or access.
FACTS: Final = ("status", "amount", "amount_captured", "amount_refunded", "amount_paid", "currency")


@dataclass(frozen=True)
class Trace:
    """What is known of how Stripe's objects reached the database, by (object, id).

    `mirrored`: the mirror's row: state_at, and facts (FACTS) as text. `events`: the ledger's newest
    events: event_id, type, state, reason, created_at and received_at (ISO), source. `listed`: the
    same object's events in Stripe's own list: event_id, type, created_at, pending_webhooks; None
    stands for a list that was not read. `stripe`: facts as Stripe's extract has them. `refused`:
    why the mirror could not use what Stripe showed. `reached_at`: when a webhook of any kind last
    came in (ISO). `lists_all`: Stripe's list covers everything up to the audit, from `lists_from`
    on (ISO; None: from the beginning).
    """

    mirrored: Mapping[Key, Facts] = field(default_factory=dict)
    events: Mapping[Key, Sequence[Facts]] = field(default_factory=dict)
    listed: Mapping[Key, Sequence[Facts]] | None = None
    stripe: Mapping[Key, Facts] = field(default_factory=dict)
    refused: Mapping[Key, str] = field(default_factory=dict)
    reached_at: str | None = None
    lists_all: bool = False
    lists_from: str | None = None

    def knows(self, key: Key) -> bool:
        """Whether anything was ever heard of an object."""
        return key in self.mirrored or bool(self.events.get(key))

    def unheard(self, key: Key) -> list[Facts]:
        """Events of an object that Stripe lists and the ledger lacks."""
        heard = {event["event_id"] for event in self.events.get(key, ())}
        listed = (self.listed or {}).get(key, ())
        return [event for event in listed if event["event_id"] not in heard]

    def lacks(self, key: Key) -> bool:
        """Whether the mirror does not know an object as Stripe shows it."""
        return key not in self.mirrored or bool(self.unheard(key)) or self.is_outdated(key)

    def is_outdated(self, key: Key) -> bool:
        """Whether the mirror's row says something else than Stripe, in a fact that both tell."""
        ours, theirs = self.mirrored.get(key, {}), self.stripe.get(key, {})
        return any(
            ours.get(name) is not None
            and theirs.get(name) is not None
            and str(ours[name]) != str(theirs[name])
            for name in FACTS
        )


class Told(NamedTuple):
    """The answer about one finding: the cause, and which events came, or did not come, and how."""

    cause: Cause
    delivery: list[dict[str, Any]]

    @property
    def evidence(self) -> dict[str, Any]:
        """What a finding's evidence holds of it; empty when no event is known."""
        return {"delivery": self.delivery} if self.delivery else {}


def cause_of_object(
    code: str,
    objects: Sequence[Key],
    trace: Trace,
    *,
    mirror_is_right: bool | None = None,
    written_by: Collection[str] = (),
    changed_by_hand: bool = False,
    minor: Iterable[tuple[int, int]] = (),
) -> Told:
    """What most likely happened, and the deliveries behind it, for a finding about any object.

    `objects`: the finding's own object first, then others whose events would have made it right.
    `mirror_is_right`: whether the mirror says what Stripe says in what the finding is about; None:
    to be seen from the trace. `written_by`: who wrote the rows that differ ("mirror" is our own
    pipeline), none if no row does. `changed_by_hand`: a row of ours is not what the mirror books.
    `minor`: pairs of amounts that differ, (Stripe's, ours), in minor units of one currency.
    The first rule that fits decides; UNKNOWN only if none does.
    """
    delivery = deliveries_of(objects, trace)
    by_class = _BY_CLASS.get(code)
    if by_class is not None:
        return Told(by_class, delivery)
    if any(
        is_unit_factor(stripe, ours)
        and (mirror_is_right or not _lags_by(abs(stripe - ours), code, objects, trace))
        for stripe, ours in minor
    ):
        return Told(Cause.UNIT_FACTOR, delivery)
    if _is_by_hand(code, written_by, changed_by_hand=changed_by_hand):
        return Told(Cause.WRITTEN_BY_HAND, delivery)
    if code in MADE_BY_ROW and not written_by:
        return Told(_without_row(objects), delivery)
    if code in MADE_BY_ROW or mirror_is_right:
        return Told(Cause.HANDLED_WRONG, delivery)
    return Told(_cause_of_delivery(objects, trace, mirror_is_right=mirror_is_right), delivery)


def is_unit_factor(stripe_minor: int, booked_minor: int) -> bool:
    """Whether two amounts differ by a factor of 100 or 1,000, the mark of a wrong unit."""
    return bool(stripe_minor and booked_minor) and any(
        booked_minor == stripe_minor * factor or stripe_minor == booked_minor * factor
        for factor in _FACTORS
    )


def _lags_by(minor: int, code: str, objects: Sequence[Key], trace: Trace) -> bool:
    """Whether what the mirror lacks of a charge's refunds or disputes is just what is different.

    Never so for a class about another amount: that one is no sum of parts. `minor`: the difference.
    """
    if code not in PART_OF_CODE:
        return False
    own, *parts = objects
    if trace.is_outdated(own):
        return True
    late = [key for key in parts if trace.lacks(key)][:_PARTS_WEIGHED]
    amounts = [trace.stripe.get(key, {}).get("amount") for key in late]
    sums = {0}
    for amount in amounts:
        if amount is None:
            return True  # it may be all of it
        sums |= {one + int(amount) for one in sums}
    return minor in sums


def _without_row(objects: Sequence[Key]) -> Cause:
    """Who made a mistake that no row of the books is: the application's user, else Stripe."""
    return Cause.WRITTEN_BY_HAND if objects[0][0] == "customer" else Cause.AT_STRIPE


def amounts_in(details: object) -> list[tuple[int, int]]:
    """The two amounts that differ, (Stripe's, ours), where details of a finding name both."""
    if not isinstance(details, Mapping):
        return []
    stripe, ours = details.get("stripe_minor"), details.get("booked_minor")
    return [(stripe, ours)] if isinstance(stripe, int) and isinstance(ours, int) else []


def _is_by_hand(code: str, written_by: Collection[str], *, changed_by_hand: bool) -> bool:
    """Rows of other writers, and rows of ours that the mirror would book in another way."""
    others = set(written_by) - {OURS}
    if code in MADE_BY_ROW:
        return bool(others) or changed_by_hand
    return changed_by_hand or bool(others and OURS not in written_by)


def _cause_of_delivery(
    objects: Sequence[Key], trace: Trace, *, mirror_is_right: bool | None
) -> Cause:
    """What happened between Stripe and the mirror: the first step that went wrong, of any object.

    Where the mirror knows every object as Stripe shows it, nothing went wrong before the row.
    """
    wrong = [
        key
        for key in objects
        if mirror_is_right is False or key not in trace.mirrored or trace.is_outdated(key)
    ]
    causes = {_cause_of_one(key, trace) for key in wrong}
    stopped = {
        Cause.QUARANTINED
        for key in objects
        for event in trace.events.get(key, ())
        if event["state"] == "quarantined" and not _is_older(event, trace.mirrored.get(key))
    }
    found = causes | stopped
    return next((cause for cause in _STEPS if cause in found), Cause.HANDLED_WRONG)


# In the order in which they are looked for: what tells most comes first.
_STEPS: Final = (Cause.QUARANTINED, Cause.FAILED, Cause.NEVER_DELIVERED, Cause.STALE)


def _cause_of_one(key: Key, trace: Trace) -> Cause:
    """Why the mirror lacks an object, or has an older state of it; the first rule that fits."""
    return next((cause for cause, fits in _RULES if fits(key, trace)), Cause.NEVER_DELIVERED)


def _failed(key: Key, trace: Trace) -> bool:
    """Received and not applied, refused by the mirror, or sent and not taken by the endpoint."""
    if key in trace.refused or any(e["state"] == "received" for e in trace.events.get(key, ())):
        return True
    reached = trace.reached_at
    return reached is not None and any(
        event.get("pending_webhooks") and _instant(event["created_at"]) < _instant(reached)
        for event in trace.unheard(key)
    )


def _never_delivered(key: Key, trace: Trace) -> bool:
    return bool(trace.unheard(key)) or not trace.knows(key)


def _handled(key: Key, trace: Trace) -> bool:
    """Events came and were done with, and the mirror has no row all the same."""
    return key not in trace.mirrored


def _stale(key: Key, trace: Trace) -> bool:
    """Everything that Stripe tells is in the ledger, and the mirror is older all the same."""
    events = trace.events.get(key, ())
    if any(_is_newer(event, trace.mirrored.get(key)) for event in events):
        return True
    return bool(events) and trace.lists_all and _is_listed(trace.mirrored.get(key), trace)


def _is_listed(mirrored: Facts | None, trace: Trace) -> bool:
    """Whether Stripe's list tells all that came after the mirror's state: it forgets the old."""
    if trace.lists_from is None:
        return True
    state_at = (mirrored or {}).get("state_at")
    return state_at is not None and _as_utc(state_at) >= _instant(trace.lists_from)


_Rule = Callable[[Key, Trace], bool]
_RULES: Final[tuple[tuple[Cause, _Rule], ...]] = (
    (Cause.FAILED, _failed),
    (Cause.NEVER_DELIVERED, _never_delivered),
    (Cause.HANDLED_WRONG, _handled),
    (Cause.STALE, _stale),
)


# --- events ------------------------------------------------------------------------------------


def deliveries_of(objects: Sequence[Key], trace: Trace) -> list[dict[str, Any]]:
    """The newest events behind a finding: when they came, or that they did not; newest first.

    Shapes: event_id, type, created_at (ISO), pending_webhooks (endpoints that Stripe still tries to
    reach; None where its list does not tell), received_at (None: never), state of the ledger or
    "missing", reason, attempts (deliveries that arrived by webhook, at least).
    """
    found = {}
    for key in dict.fromkeys(objects):
        listed = {event["event_id"]: event for event in (trace.listed or {}).get(key, ())}
        for event in trace.events.get(key, ()):
            found[event["event_id"]] = _delivery(event, listed.get(event["event_id"], {}))
        for event in trace.unheard(key):
            found[event["event_id"]] = _delivery({"state": "missing"}, event)
    newest = sorted(found.values(), key=_by_age, reverse=True)
    return newest[:EVENTS_SHOWN]


def _by_age(event: Facts) -> tuple[datetime, str]:
    return _instant(event["created_at"]), event["event_id"]


def _delivery(heard: Facts, listed: Facts) -> dict[str, Any]:
    either = {**listed, **heard}
    return {
        "event_id": either["event_id"],
        "type": either.get("type"),
        "created_at": either["created_at"],
        "pending_webhooks": listed.get("pending_webhooks"),
        "received_at": heard.get("received_at"),
        "state": heard["state"],
        "reason": heard.get("reason"),
        "attempts": int(heard.get("source") == "webhook"),
    }


def _is_newer(event: Facts, mirrored: Facts | None) -> bool:
    state_at = (mirrored or {}).get("state_at")
    applied = event["state"] == "applied"
    return (
        applied and state_at is not None and _instant(event.get("created_at")) > _as_utc(state_at)
    )


def _is_older(event: Facts, mirrored: Facts | None) -> bool:
    """Whether the mirror knows a later state than an event's; unknown instants are not older."""
    state_at, created_at = (mirrored or {}).get("state_at"), event.get("created_at")
    return (
        state_at is not None and created_at is not None and _instant(created_at) < _as_utc(state_at)
    )


def _instant(text: Any) -> datetime:
    return datetime.min.replace(tzinfo=UTC) if text is None else _as_utc(text)


def _as_utc(instant: Any) -> datetime:
    """An instant, or one in ISO words, in UTC."""
    known = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
    return known if known.tzinfo else known.replace(tzinfo=UTC)
