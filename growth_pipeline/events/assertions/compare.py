"""Whether Stripe says what a billing event says. Pure; instants in UTC.

Contract: docs/events-catalogue.md, "Compared with Stripe".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby, pairwise
from typing import Any, Final, NamedTuple

from growth_pipeline.core.ids import fingerprint
from growth_pipeline.events.assertions.facts import Charge, Facts, State
from growth_pipeline.events.catalogue.model import Assertion, without_personal
from growth_pipeline.events.catalogue.registry import ASSERTIONS, versions_of

APART: Final = timedelta(hours=24)
"""How far the application's instant may be from Stripe's."""

GRACE: Final = timedelta(hours=1)
"""How long the mirror is given to hear of what an event tells."""

# The property that names the object, by what it names; an event of the catalogue has one of them.
REFERENCES: Final[Mapping[str, str]] = {
    "subscription_id": "subscription",
    "payment_intent_id": "payment_intent",
    "refund_id": "refund",
    "checkout_session_id": "checkout.session",
    "payment_method_id": "payment_method",
}
# Stripe sends no event when a checkout session is made; it is completed or expires within a day,
# and open ones are listed at night. Payment methods are only listed: a missing one says nothing.
_PATIENCE: Final[Mapping[str, timedelta]] = {"checkout.session": timedelta(hours=48)}
_NOT_FOLLOWED: Final = frozenset({"payment_method"})

_FAILED_INTENTS: Final = frozenset({"requires_payment_method", "canceled"})
_MADE_REFUNDS: Final = frozenset({"succeeded", "pending"})


class Code(StrEnum):
    """Classes of findings, in the order of the report."""

    OBJECT_UNKNOWN = "object_unknown"
    OTHER_CUSTOMER = "other_customer"
    OTHER_STATE = "other_state"
    OTHER_AMOUNT = "other_amount"
    OTHER_TIME = "other_time"


class Doubt(StrEnum):
    """Why nothing can be said yet, or ever."""

    MIRROR_IS_EMPTY = "mirror_is_empty"
    TOO_YOUNG = "too_young"
    BEFORE_THE_MIRROR = "before_the_mirror"
    NOT_FOLLOWED = "not_followed"
    NO_REFERENCE = "no_reference"
    TIME_UNKNOWN = "time_unknown"


MEANINGS: Final[Mapping[Code, str]] = {
    Code.OBJECT_UNKNOWN: "Stripe has no such object in this account and mode",
    Code.OTHER_CUSTOMER: "the object belongs to another customer than the user does",
    Code.OTHER_STATE: "the object never was what the event says",
    Code.OTHER_AMOUNT: "the amount or currency is another one",
    Code.OTHER_TIME: "it happened at Stripe, but not within a day of the event",
}


@dataclass(frozen=True, slots=True)
class Told:
    """Grain: one billing event. `at` is when the application says that it happened.

    `has_time`: whether that can be believed; else `at` is when it was received.
    """

    message_id: str
    event: str
    user_id: str | None
    at: datetime
    properties: Mapping[str, Any]
    has_time: bool = True

    @property
    def reference(self) -> tuple[str, str] | None:
        """Kind and id of the object at Stripe; None if the event names none."""
        for name, kind in REFERENCES.items():
            value = self.properties.get(name)
            if isinstance(value, str) and value:
                return kind, value
        return None


class Known(NamedTuple):
    """How far the mirror can speak: of [`since`, `as_of`); both None while it has heard nothing."""

    since: datetime | None
    as_of: datetime | None


@dataclass(frozen=True, slots=True)
class Finding:
    """Grain: one billing event that Stripe contradicts. `stripe` holds no personal data."""

    code: Code
    told: Told
    object: str
    object_id: str
    stripe: Mapping[str, Any] = field(default_factory=dict)

    @property
    def severity(self) -> str:
        """LOW for a difference of time alone, else MEDIUM: revenue is not counted from events."""
        return "LOW" if self.code is Code.OTHER_TIME else "MEDIUM"

    @property
    def fingerprint(self) -> str:
        """Name of the finding, equal whenever it is found again."""
        return fingerprint("billing_event", self.told.message_id, self.code)

    def to_dict(self) -> dict[str, Any]:
        """The finding as JSON knows it."""
        newest = versions_of(self.told.event)[0]
        return {
            "fingerprint": self.fingerprint,
            "code": str(self.code),
            "severity": self.severity,
            "meaning": MEANINGS[self.code],
            "event": self.told.event,
            "message_id": self.told.message_id,
            "user_id": self.told.user_id,
            "at": self.told.at.isoformat(),
            "object": self.object,
            "object_id": self.object_id,
            "said": without_personal(newest, self.told.properties),
            "stripe": dict(self.stripe),
        }


Answer = Finding | Doubt | None
"""A finding, a doubt, or None: Stripe says the same."""


def judge(
    told: Told, facts: Facts | None, known: Known, *, customers: Iterable[str] = ()
) -> Answer:
    """Hold one billing event against what the mirror knows about its object.

    `facts` is None for an object that the mirror does not have; `customers` are the user's, empty
    while the application tells none. What the mirror has had no time to hear of, or what lies
    before it was told anything, is a doubt, never a finding.
    Raises: KeyError for an event that says nothing about Stripe.
    """
    assertion = ASSERTIONS[told.event]
    if known.as_of is None:
        return Doubt.MIRROR_IS_EMPTY
    reference = told.reference
    if reference is None:
        return Doubt.NO_REFERENCE
    if facts is None:
        answer: Code | Doubt | None = Code.OBJECT_UNKNOWN
    elif _is_of_another(facts, customers):
        answer = Code.OTHER_CUSTOMER
    else:
        answer = _RULES[assertion](told, facts)
    if not isinstance(answer, Code):
        return answer
    doubt = _doubt(told, reference[0], known, facts)
    if doubt is None and answer is Code.OTHER_TIME and not told.has_time:
        doubt = Doubt.TIME_UNKNOWN
    return doubt or Finding(answer, told, *reference, stripe=_shown(facts))


def _doubt(told: Told, kind: str, known: Known, facts: Facts | None) -> Doubt | None:
    """Why the mirror's silence proves nothing."""
    patience = GRACE if facts is not None else _PATIENCE.get(kind, GRACE)
    if known.as_of is None or told.at > known.as_of - patience:
        return Doubt.TOO_YOUNG
    if facts is None and kind in _NOT_FOLLOWED:
        return Doubt.NOT_FOLLOWED
    if facts is None and (known.since is None or told.at < known.since):
        return Doubt.BEFORE_THE_MIRROR
    return None


def _is_of_another(facts: Facts, customers: Iterable[str]) -> bool:
    own = set(customers)
    return bool(own) and facts.customer is not None and facts.customer not in own


# --- one rule for each assertion: None agrees -----------------------------------------------------


def _exists(_told: Told, _facts: Facts) -> Code | Doubt | None:
    return None


def _trial_started(told: Told, facts: Facts) -> Code | Doubt | None:
    starts = [one.trial_start for one in facts.states if one.trial_start is not None]
    return _at_one_of(told, starts, facts)


def _started(told: Told, facts: Facts) -> Code | Doubt | None:
    fitting = _has_price(told, told.properties.get("price_id"))
    states = [one for one in facts.states if one.has_started and fitting(one)]
    return _at_one_of(told, [at for one in states for at in one.begins], facts)


def _canceled(told: Told, facts: Facts) -> Code | Doubt | None:
    ended = [one for one in facts.states if one.is_ending or one.ends]
    instants = [at for one in ended for at in one.ends]
    if ended and not instants:  # set to end, and no version of it tells when that was asked for
        return _changed(told, facts, lambda one: one.is_ending)
    answer = _at_one_of(told, instants, facts)
    # Stripe keeps the newest request only: one that was taken back stands in older states.
    doubt = _unless_unread(told, facts) if answer is Code.OTHER_TIME else None
    return doubt if isinstance(doubt, Doubt) else answer


def _price_changed(told: Told, facts: Facts) -> Code | Doubt | None:
    """Without a quantity, another number of seats at the price is a change, too."""
    price, quantity = told.properties.get("to_price_id"), told.properties.get("quantity")
    billed = {count for one in facts.states for name, count in one.prices if name == price}
    counts = billed or {None} if quantity is None else {quantity}
    answers = [_changed(told, facts, _bills(price, count)) for count in counts]
    if None in answers:
        return None
    return Code.OTHER_TIME if Code.OTHER_TIME in answers else answers[0]


def _paused(told: Told, facts: Facts) -> Code | Doubt | None:
    return _changed(told, facts, lambda one: one.is_paused)


def _resumed(told: Told, facts: Facts) -> Code | Doubt | None:
    return _changed(told, facts, lambda one: not one.is_paused)


def _settled(told: Told, facts: Facts) -> Code | Doubt | None:
    settled = [one for one in facts.charges if one.is_settled]
    if not settled:
        return Code.OTHER_STATE
    return None if any(_is_amount(told, one) for one in settled) else Code.OTHER_AMOUNT


def _failed(_told: Told, facts: Facts) -> Code | Doubt | None:
    failed = facts.has_failed or facts.status in _FAILED_INTENTS
    return None if failed or any(one.has_failed for one in facts.charges) else Code.OTHER_STATE


def _refunded(told: Told, facts: Facts) -> Code | Doubt | None:
    if facts.status not in _MADE_REFUNDS:
        return Code.OTHER_STATE
    return None if _is_amount(told, facts) else Code.OTHER_AMOUNT


_RULES: Final[Mapping[Assertion, Callable[[Told, Facts], Code | Doubt | None]]] = {
    Assertion.CHECKOUT_EXISTS: _exists,
    Assertion.METHOD_EXISTS: _exists,
    Assertion.TRIAL_STARTED: _trial_started,
    Assertion.SUBSCRIPTION_STARTED: _started,
    Assertion.SUBSCRIPTION_CANCELED: _canceled,
    Assertion.PRICE_CHANGED: _price_changed,
    Assertion.COLLECTION_PAUSED: _paused,
    Assertion.COLLECTION_RESUMED: _resumed,
    Assertion.PAYMENT_SETTLED: _settled,
    Assertion.PAYMENT_FAILED: _failed,
    Assertion.REFUND_MADE: _refunded,
}


def _has_price(told: Told, price: object) -> Callable[[State], bool]:
    """Whether a state bills the price (and the quantity, where the event tells it)."""
    quantity = told.properties.get("quantity")

    def fits(state: State) -> bool:
        return any(
            name == price and (quantity is None or count == quantity)
            for name, count in state.prices
        )

    return fits


def _bills(price: object, count: object) -> Callable[[State], bool]:
    """Whether a state bills so many of the price."""
    return lambda state: (price, count) in state.prices


def _at_one_of(told: Told, instants: Sequence[datetime], facts: Facts) -> Code | Doubt | None:
    """Agrees if Stripe names an instant within a day of the event's."""
    if any(abs(one - told.at) <= APART for one in instants):
        return None
    if instants:
        return Code.OTHER_TIME
    return _unless_unread(told, facts)


def _changed(told: Told, facts: Facts, fits: Callable[[State], bool]) -> Code | Doubt | None:
    """Agrees if the subscription came to fit within a day of the event, from not fitting.

    It came to fit between the last instant at which it was seen not to and the first at which it
    was seen to. States of one second have no order, so among them either may have been first.
    """
    seconds = [list(states) for _, states in groupby(facts.states, key=lambda one: one.seen_at)]
    changes = []
    for before, after in pairwise([[], *seconds]):
        unlike = [one for one in (*before, *after) if not fits(one)]
        if unlike and any(fits(one) for one in after):
            changes.append((min(one.seen_from for one in unlike), after[0].seen_at))
    if any(begin <= told.at + APART and told.at - APART <= end for begin, end in changes):
        return None
    doubt = _unless_unread(told, facts)
    if isinstance(doubt, Doubt):
        return doubt
    return Code.OTHER_TIME if changes else Code.OTHER_STATE


def _unless_unread(told: Told, facts: Facts) -> Code | Doubt:
    """A finding only if the states of that time are known, with all their items."""
    if not _reaches_back(told, facts) or any(one.is_partial for one in facts.states):
        return Doubt.BEFORE_THE_MIRROR
    return Code.OTHER_STATE


def _reaches_back(told: Told, facts: Facts) -> bool:
    """Whether states are known from before the event, or from the subscription's first day on."""
    if not facts.states:
        return False
    first = facts.states[0]
    made_at = first.made_at or min(first.begins, default=None)
    known_from = told.at - APART if made_at is None else max(told.at - APART, made_at + APART)
    return first.seen_from <= known_from


def _is_amount(told: Told, paid: Charge | Facts) -> bool:
    amount, currency = told.properties.get("amount_minor"), told.properties.get("currency")
    return amount == paid.amount_minor and str(currency).lower() == paid.currency


def _shown(facts: Facts | None) -> dict[str, Any]:
    """What Stripe says, for the report: no payload, no personal data."""
    if facts is None:
        return {}
    shown: dict[str, Any] = {"customer": facts.customer, "status": facts.status}
    if facts.amount_minor is not None:
        shown |= {"amount_minor": facts.amount_minor, "currency": facts.currency}
    if facts.charges:
        shown["charges"] = [one._asdict() for one in facts.charges]
    if facts.states:
        shown["states"] = [_shown_state(one) for one in facts.states]
    return {name: value for name, value in shown.items() if value is not None}


def _shown_state(state: State) -> dict[str, Any]:
    return {
        "seen_at": state.seen_at.isoformat(),
        "status": state.status,
        "paused": state.is_paused,
        "ending": state.is_ending or bool(state.ends),
        "prices": [
            {"price": name, "quantity": count}
            for name, count in sorted(state.prices, key=lambda one: (one[0], one[1] or 0))
        ],
    }
