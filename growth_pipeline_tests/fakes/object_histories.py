"""Invented lives of Stripe objects with a truth that a plain loop knows; shares no rule with the product.

A life is a list of steps; each step changes fields and Stripe sends an event. Seconds are shared
often, so that time alone cannot order the events. The truth is the object after the last step.
"""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass, field
from typing import Any

from growth_pipeline_tests.fakes.stripe_events import (
    NOON,
    a_customer,
    a_subscription,
    an_event,
    an_invoice,
)

SHARED_SECOND = 0.4


@dataclass
class Told:
    """One event of a life."""

    type: str
    created: int
    payload: dict[str, Any]
    previous: dict[str, Any] | None
    id: str = ""

    def body(self) -> bytes:
        return an_event(
            self.type, self.payload, id=self.id, created=self.created, previous=self.previous
        )


@dataclass
class Life:
    """All events of one object, and what is true in the end."""

    name: str
    events: list[Told] = field(default_factory=list)
    truth: dict[str, Any] = field(default_factory=dict)
    is_gone: bool = False


def a_life(random_: random.Random, number: int) -> Life:
    """A life of 2 to 6 events of a subscription, customer or invoice."""
    make = random_.choice([_subscription_life, _subscription_life, _customer_life, _invoice_life])
    life: Life = make(random_, number)
    for position, told in enumerate(life.events):
        told.id = f"evt_{number}_{random_.randrange(10**9)}_{position}"
    return life


def _seconds(random_: random.Random, count: int) -> list[int]:
    now, seconds = NOON, []
    for position in range(count):
        if position and random_.random() >= SHARED_SECOND:
            now += random_.choice([1, 2, 60, 86_400])
        seconds.append(now)
    return seconds


def _change(state: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Apply changes in place; what Stripe would send as previous_attributes."""
    previous = {}
    for name, value in changes.items():
        if state.get(name) != value:
            previous[name] = copy.deepcopy(state.get(name))
            state[name] = copy.deepcopy(value)
    return previous


def _subscription_life(random_: random.Random, number: int) -> Life:
    life = Life(f"sub_{number}")
    state = a_subscription(life.name, status="trialing", plan="plan_0")
    count = random_.randint(2, 6)
    cancelled = random_.random() < 0.3
    for position, second in enumerate(_seconds(random_, count)):
        if position == 0:
            life.events.append(
                Told("customer.subscription.created", second, copy.deepcopy(state), None)
            )
        elif cancelled and position == count - 1:
            _change(state, {"status": "canceled", "ended_at": second})
            life.events.append(
                Told("customer.subscription.deleted", second, copy.deepcopy(state), None)
            )
        elif random_.random() < 0.15:
            life.events.append(
                Told("customer.subscription.trial_will_end", second, copy.deepcopy(state), None)
            )
        else:
            options = [
                {"quantity": random_.randint(2, 90)},
                {"plan": f"plan_{random_.randint(1, 90)}"},
                {
                    "status": random_.choice(["active", "past_due", "unpaid"]),
                    "quantity": random_.randint(2, 90),
                },
                {"cancel_at": second + random_.randint(1, 10**6)},
            ]
            changes = random_.choice(options)
            previous = _change(state, changes)
            life.events.append(
                Told("customer.subscription.updated", second, copy.deepcopy(state), previous)
            )
    life.truth = state
    return life


def _customer_life(random_: random.Random, number: int) -> Life:
    life = Life(f"cus_{number}")
    state = a_customer(life.name)
    count = random_.randint(2, 6)
    life.is_gone = random_.random() < 0.4
    for position, second in enumerate(_seconds(random_, count)):
        if position == 0:
            life.events.append(Told("customer.created", second, copy.deepcopy(state), None))
        elif life.is_gone and position == count - 1:
            life.events.append(Told("customer.deleted", second, copy.deepcopy(state), None))
        else:
            previous = _change(state, {"email": f"{random_.randrange(10**6)}@example.test"})
            life.events.append(Told("customer.updated", second, copy.deepcopy(state), previous))
    life.truth = state
    return life


def _invoice_life(random_: random.Random, number: int) -> Life:
    """draft, open, perhaps paid. Each step is told twice, as Stripe does: updated, and its own name."""
    life = Life(f"in_{number}")
    state = an_invoice(life.name, note="n0")
    life.events.append(Told("invoice.created", NOON, copy.deepcopy(state), None))
    steps: list[tuple[str | None, dict[str, Any]]] = [("invoice.finalized", {"status": "open"})]
    if random_.random() < 0.5:
        steps.insert(random_.randint(0, 1), (None, {"note": f"n{random_.randrange(10**6)}"}))
    if random_.random() < 0.5:
        steps.append(("invoice.paid", {"status": "paid", "amount_paid": 1000}))
    seconds = _seconds(random_, len(steps) + 1)[1:]
    for (name, changes), second in zip(steps, seconds, strict=True):
        previous = _change(state, changes)
        life.events.append(Told("invoice.updated", second, copy.deepcopy(state), previous))
        if name is not None:
            life.events.append(Told(name, second, copy.deepcopy(state), None))
    life.events = life.events[:6]
    life.truth = life.events[-1].payload
    return life
