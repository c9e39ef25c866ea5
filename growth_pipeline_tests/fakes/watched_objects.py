"""Stripe objects that change while events are sent and questions answered; shares no rule with the product.

Time is real here: a step happens at a fraction of a second. Events tell whole seconds only, and an
answer says only between when and when it was true, as Stripe's do.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from growth_pipeline.billing.ledger import Fetched
from growth_pipeline.billing.tables import ObjectKey
from growth_pipeline.core.ids import Scope
from growth_pipeline.stripe_api.client import LookedUp
from growth_pipeline_tests.fakes.stripe_events import (
    NEW,
    NOON,
    OLD,
    a_charge,
    a_customer,
    a_subscription,
    an_event,
    an_invoice,
)

SCOPE = Scope("self", False)
CLOCK_DOUBT = 2.0
SHOWN_BY_CUT_EVENTS = 2


@dataclass
class Step:
    """What an object is from an instant on; None once it is gone. Told by one event."""

    at: float
    payload: dict[str, Any] | None
    event: bytes


@dataclass
class Watched:
    """All steps of one object, in order."""

    object: str
    id: str
    steps: list[Step] = field(default_factory=list)

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(*SCOPE, self.object, self.id)

    def at(self, instant: float) -> dict[str, Any] | None:
        """The truth at an instant; None before its birth and after its end."""
        known = [step.payload for step in self.steps if step.at <= instant]
        return copy.deepcopy(known[-1]) if known else None

    @property
    def is_gone(self) -> bool:
        return self.steps[-1].payload is None

    def fetched(self, instant: float, elapsed: float = 0.2) -> Fetched:
        """What Stripe answers to a question at an instant."""
        payload = self.at(instant)
        date = math.floor(instant)
        raw = b"" if payload is None else orjson.dumps(payload)
        since, until = moment(date - elapsed - CLOCK_DOUBT), moment(date)
        return Fetched(self.key, payload, raw, NEW, since, until)


class AnsweringStripe:
    """Answers questions about watched objects as of one instant; counts them."""

    def __init__(self, watched: list[Watched], *, at: float) -> None:
        self._watched = {each.id: each for each in watched}
        self._at = at
        self.scope = SCOPE
        self.api_version = NEW
        self.asked: list[str] = []

    def look_up(self, resource: str, id: str, params: Any = None) -> LookedUp:
        del resource, params
        self.asked.append(id)
        told = self._watched[id].fetched(self._at)
        return LookedUp(told.payload, told.fetched_from, told.fetched_to)

    def complete_nested(self, owner: dict[str, Any], name: str) -> dict[str, Any]:
        del name
        return owner


def moment(seconds: float) -> datetime:
    """An instant of the simulated time."""
    return datetime.fromtimestamp(seconds, UTC)


def a_watched_object(random_: random.Random, number: int) -> Watched:
    """A customer, charge, invoice, subscription with items, or coupon; two to seven steps."""
    make = random_.choice([_customer, _charge, _invoice, _subscription, _subscription, _coupon])
    return make(random_, number)


class _Recorder:
    """Takes steps of one object and writes down what Stripe tells of them."""

    def __init__(
        self,
        random_: random.Random,
        watched: Watched,
        payload: dict[str, Any],
        *,
        version: str = NEW,
        render: Callable[[dict[str, Any]], dict[str, Any]] = lambda payload: payload,
    ) -> None:
        self.random = random_
        self.watched = watched
        self.state = payload
        self.now = NOON + random_.random()
        self._number = 0
        self._version = version
        self._render = render

    def pass_time(self) -> None:
        self.now += self.random.choice([0.01, 0.1, 0.3, 0.9, 1.5, 3.0, 60.0, 9000.0])

    def tell(
        self, type_: str, changes: dict[str, Any] | None = None, *, ends: bool = False
    ) -> None:
        before = self._render(self.state)
        self.state = self.state | copy.deepcopy(changes or {})
        told = self._render(self.state)
        previous = {name: before.get(name) for name in told if told[name] != before.get(name)}
        self._number += 1
        event = an_event(
            type_,
            told,
            id=f"evt_{self.random.randrange(10**6)}_{self.watched.id}_{self._number}",
            created=math.floor(self.now),
            previous=previous if type_.endswith(".updated") else None,
            version=self._version,
        )
        payload = None if ends else copy.deepcopy(self.state)
        self.watched.steps.append(Step(self.now, payload, event))


def _customer(random_: random.Random, number: int) -> Watched:
    watched = Watched("customer", f"cus_{number}")
    record = _Recorder(random_, watched, a_customer(watched.id))
    record.tell("customer.created")
    for _ in range(random_.randint(1, 5)):
        record.pass_time()
        record.tell("customer.updated", {"email": f"{random_.randrange(3)}@example.test"})
    if random_.random() < 0.4:
        record.pass_time()
        record.tell("customer.deleted", ends=True)
    return watched


def _charge(random_: random.Random, number: int) -> Watched:
    """Money moves without `previous_attributes`: only Stripe can order what shares a second."""
    watched = Watched("charge", f"ch_{number}")
    record = _Recorder(random_, watched, a_charge(watched.id))
    record.tell("charge.succeeded")
    for _ in range(random_.randint(1, 4)):
        record.pass_time()
        if random_.random() < 0.4:
            record.tell("charge.updated", {"description": f"text {random_.randrange(3)}"})
        else:
            refunded = min(1000, record.state["amount_refunded"] + random_.choice([100, 300]))
            record.tell("charge.refunded", {"amount_refunded": refunded})
    return watched


def _invoice(random_: random.Random, number: int) -> Watched:
    watched = Watched("invoice", f"in_{number}")
    record = _Recorder(random_, watched, an_invoice(watched.id, note="n"))
    record.tell("invoice.created")
    record.pass_time()
    record.tell("invoice.updated", {"status": "open"})
    record.tell("invoice.finalized")
    if random_.random() < 0.6:
        record.pass_time()
        record.tell("invoice.updated", {"attempt_count": 1})
    if random_.random() < 0.6:
        record.pass_time()
        record.tell("invoice.updated", {"status": "paid", "amount_paid": 1000})
        record.tell("invoice.paid")
    return watched


def _subscription(random_: random.Random, number: int) -> Watched:
    """Its events show fewer things than an answer: ids of discounts, and of items the first two."""
    watched = Watched("subscription", f"sub_{number}")
    is_old, is_cut = random_.random() < 0.3, random_.random() < 0.3
    record = _Recorder(
        random_,
        watched,
        a_subscription(watched.id, status="trialing"),
        version=OLD if is_old else NEW,
        render=lambda payload: _told_by_event(payload, is_old=is_old, is_cut=is_cut),
    )
    first = record.state["items"]["data"][0]
    record.tell("customer.subscription.created")
    for _ in range(random_.randint(1, 5)):
        record.pass_time()
        what = random_.choice(["trial_will_end", "items", "status", "discounts", "renewal"])
        if what == "trial_will_end":
            record.tell("customer.subscription.trial_will_end")
        elif what == "items":
            items = [
                first | {"id": f"si_{watched.id}_{n}", "quantity": random_.randint(1, 2)}
                for n in sorted(random_.sample(range(4), random_.randint(1, 3)))
            ]
            listed = record.state["items"] | {"data": items}
            record.tell("customer.subscription.updated", {"items": listed})
        elif what == "status":
            status = random_.choice(["active", "past_due"])
            record.tell("customer.subscription.updated", {"status": status})
        elif what == "discounts":
            names = random_.sample(["di_1", "di_2"], random_.randint(0, 1 if is_old else 2))
            discounts = [_a_discount(name, watched.id) for name in names]
            record.tell("customer.subscription.updated", {"discounts": discounts})
        else:
            period = {"current_period_start": NOON + random_.randrange(10**6)}
            items = [each | period for each in record.state["items"]["data"]]
            listed = record.state["items"] | {"data": items}
            record.tell("customer.subscription.updated", {"items": listed})
    if random_.random() < 0.3:
        record.pass_time()
        record.state = record.state | {"status": "canceled"}
        record.tell("customer.subscription.deleted")
    return watched


def _a_discount(id: str, subscription: str) -> dict[str, Any]:
    return {
        "id": f"{id}_{subscription}",
        "object": "discount",
        "customer": "cus_1",
        "end": None,
        "promotion_code": None,
        "source": {"type": "coupon", "coupon": "LAUNCH20"},
        "start": NOON,
    }


def _told_by_event(payload: dict[str, Any], *, is_old: bool, is_cut: bool) -> dict[str, Any]:
    """A subscription as events of its endpoint's version show it."""
    told = copy.deepcopy(payload)
    discounts = told.pop("discounts")
    items = told["items"]["data"]
    if is_old:
        told["discount"] = None
        for discount in discounts:
            whole = discount | {"coupon": {"id": "LAUNCH20", "object": "coupon"}}
            told["discount"] = {k: v for k, v in whole.items() if k != "source"}
        for item in items:
            for name in ("current_period_start", "current_period_end"):
                told[name] = item.pop(name)
            item.pop("discounts")
    else:
        told["discounts"] = [discount["id"] for discount in discounts]
    if is_cut and len(items) > SHOWN_BY_CUT_EVENTS:
        told["items"] |= {"data": items[:SHOWN_BY_CUT_EVENTS], "has_more": True}
    return told


def _coupon(random_: random.Random, number: int) -> Watched:
    """Its id is chosen by people: it may come again after its deletion."""
    watched = Watched("coupon", f"WELCOME{number}")
    coupon = {
        "id": watched.id,
        "object": "coupon",
        "amount_off": None,
        "currency": None,
        "duration": "once",
        "duration_in_months": None,
        "livemode": False,
        "percent_off": 10,
        "valid": True,
    }
    record = _Recorder(random_, watched, coupon | {"created": NOON})
    record.tell("coupon.created")
    for _ in range(random_.randint(0, 2)):
        record.pass_time()
        record.tell("coupon.updated", {"name": f"name {random_.randrange(3)}"})
        if random_.random() < 0.5:
            record.now += 2
            record.tell("coupon.deleted", ends=True)
            if random_.random() < 0.6:
                record.now += random_.choice([0.001, 0.7, 5])  # often within the same second
                record.state = coupon | {"created": math.floor(record.now), "percent_off": 20}
                record.tell("coupon.created")
            else:
                break
    return watched
