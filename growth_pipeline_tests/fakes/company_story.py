"""A small company's weeks as Stripe would tell them, and what is true at their end.

The truth is kept by plain loops while the story is told; no rule of the product, no code of the
sandbox. Inside one second only updates that carry `previous_attributes` follow each other: what a
whole stream of events says is then decidable without asking Stripe. Only of `rings` it is not.
"""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from growth_pipeline_tests.fakes.object_histories import Told, a_life
from growth_pipeline_tests.fakes.stripe_events import (
    NOON,
    a_charge,
    a_customer,
    a_dispute,
    a_refund,
    a_subscription,
)

SPAN_SECONDS = 14 * 86_400
SHUFFLE_SECONDS = 600
MOST_DELIVERIES = 3
_SHARED_SECOND = 0.4
_EVENTS_A_RING = 500


class Truth(NamedTuple):
    """One object at the end."""

    payload: dict[str, Any]
    is_gone: bool


class Booked(NamedTuple):
    """One payment as the books must show it. Units: minor units."""

    charge_id: str
    currency: str
    status: str
    amount_minor: int
    refunded_minor: int
    disputed_minor: int


@dataclass
class Story:
    """Every event in the order in which it happened, and the truth at the end."""

    events: list[Told] = field(default_factory=list)
    objects: dict[tuple[str, str], Truth] = field(default_factory=dict)
    payments: dict[str, Booked] = field(default_factory=dict)
    rings: set[tuple[str, str]] = field(default_factory=set)

    @property
    def shared_seconds(self) -> float:
        """Share of events that have another one of their object in the same second."""
        seconds: dict[tuple[str, int], int] = {}
        for told in self.events:
            key = told.payload["id"], told.created
            seconds[key] = seconds.get(key, 0) + 1
        return sum(count for count in seconds.values() if count > 1) / len(self.events)


def tell_story(seed: int, events: int) -> Story:
    """A story of at least so many events; the same seed tells the same story."""
    random_ = random.Random(seed)
    story = Story()
    number = 0
    while len(story.events) < events:
        kind = random_.random()
        if kind < 0.45:
            _live(story, random_, number)
        elif kind < 0.55:
            _subscribe(story, random_, number)
        else:
            _pay(story, random_, number)
        number += 1
    for ring in range(events // _EVENTS_A_RING):
        _ring(story, random_, ring)
    for position, told in enumerate(story.events):
        told.id = f"evt_{position:06}_{random_.randrange(10**9):09}"
    story.events.sort(key=lambda told: told.created)
    return story


def deliveries(seed: int, story: Story) -> list[Told]:
    """Each event one to three times, shuffled within ten minutes of the story's time."""
    random_ = random.Random(f"{seed} deliveries")
    at = [
        (told.created + random_.uniform(0, SHUFFLE_SECONDS), told)
        for told in story.events
        for _ in range(random_.randint(1, MOST_DELIVERIES))
    ]
    return [told for _, told in sorted(at, key=lambda item: item[0])]


def _live(story: Story, random_: random.Random, number: int) -> None:
    """A subscription, customer or invoice somewhere in these weeks."""
    life = a_life(random_, number)
    later = random_.randrange(SPAN_SECONDS)
    for told in life.events:
        told.created += later
    story.events += life.events
    story.objects[life.truth["object"], life.name] = Truth(life.truth, life.is_gone)


def _ring(story: Story, random_: random.Random, number: int) -> None:
    """A customer whose address changes and changes back in a second; the last change is true."""
    at = NOON + random_.randrange(SPAN_SECONDS)
    name = f"cus_ring_{number}"
    states = [a_customer(name, email=f"{place}@example.test") for place in ("here", "there")]
    random_.shuffle(states)
    for state, before in (states, reversed(states)):
        previous = {"email": before["email"]}
        story.events.append(Told("customer.updated", at, state, previous))
        story.objects["customer", name] = Truth(state, is_gone=False)
    story.rings.add(("customer", name))


class _Teller:
    """Tells what happens to one object; its seconds never go back."""

    def __init__(
        self, story: Story, random_: random.Random, first: dict[str, Any], at: int
    ) -> None:
        self._story, self._random = story, random_
        self.state = first
        self.at = at

    def say(self, type_: str, previous: dict[str, Any] | None = None) -> None:
        """An event of this second with the object as it is."""
        told = Told(type_, self.at, copy.deepcopy(self.state), previous)
        self._story.events.append(told)
        key = self.state["object"], self.state["id"]
        self._story.objects[key] = Truth(told.payload, is_gone=False)

    def update(self, type_: str, **changes: Any) -> None:
        """A change that says what was before; often in the second of the last one."""
        if self._random.random() >= _SHARED_SECOND:
            self.later()
        previous = {name: copy.deepcopy(self.state.get(name)) for name in changes}
        self.state.update(changes)
        self.say(type_, previous)

    def happen(self, type_: str, **changes: Any) -> None:
        """A change that does not say what was before: in a second of its own."""
        self.later()
        self.state.update(changes)
        self.say(type_)
        self.later()

    def later(self) -> None:
        self.at += self._random.choice([1, 2, 30, 4000])


def _subscribe(story: Story, random_: random.Random, number: int) -> None:
    """A subscription to which items come, from which they go, and whose quantities change."""
    first = a_subscription(f"sub_items_{number}")
    subscription = _Teller(story, random_, first, NOON + random_.randrange(SPAN_SECONDS))
    subscription.say("customer.subscription.created")
    (plain,) = first["items"]["data"]
    for _ in range(random_.randint(1, 5)):
        places = random_.sample(range(4), random_.randint(1, 3))
        data = [
            plain | {"id": f"si_{number}_{place}", "quantity": random_.randint(1, 9)}
            for place in places
        ]
        subscription.happen("customer.subscription.updated", items=first["items"] | {"data": data})


def _pay(story: Story, random_: random.Random, number: int) -> None:
    """A charge; perhaps notes, refunds that may fail, and a dispute that is won or lost."""
    at = NOON + random_.randrange(SPAN_SECONDS)
    name, amount = f"ch_{number}", random_.randrange(100, 90_000)
    currency = random_.choice(["usd", "eur", "jpy"])
    money = {"amount": amount, "currency": currency, "created": at}
    charge = _Teller(story, random_, a_charge(name, **money, amount_captured=amount), at)
    charge.say("charge.succeeded")
    for _ in range(random_.randint(0, 3)):
        charge.update("charge.updated", description=f"note {len(story.events)}")
    refunded = _refund(story, random_, charge, amount) if random_.random() < 0.3 else 0
    disputed = _dispute(story, random_, charge, amount) if random_.random() < 0.15 else 0
    story.payments[name] = Booked(name, currency, "succeeded", amount, refunded, disputed)


def _refund(story: Story, random_: random.Random, charge: _Teller, amount: int) -> int:
    """One or two refunds; what is refunded in the end."""
    whole, given = 0, 0
    for part in range(random_.randint(1, 2)):
        some = random_.randint(1, amount // 2)
        fields = {"amount": some, "currency": charge.state["currency"], "status": "pending"}
        name = f"re_{charge.state['id']}_{part}"
        refund = _Teller(story, random_, a_refund(name, charge.state["id"], **fields), charge.at)
        refund.say("refund.created")
        given += some
        charge.happen("charge.refunded", amount_refunded=given, refunded=given == amount)
        refund.update("refund.updated", status="succeeded")
        if random_.random() < 0.2:  # the bank sends it back
            refund.happen("refund.failed", status="failed")
        else:
            whole += some
    return whole


def _dispute(story: Story, random_: random.Random, charge: _Teller, amount: int) -> int:
    """A dispute over all of it; what is withdrawn in the end."""
    name = f"dp_{charge.state['id']}"
    fields = {"amount": amount, "currency": charge.state["currency"]}
    dispute = _Teller(story, random_, a_dispute(name, charge.state["id"], **fields), charge.at)
    dispute.say("charge.dispute.created")
    taken = {"id": f"txn_{name}_0", "object": "balance_transaction", "amount": -amount}
    dispute.happen("charge.dispute.funds_withdrawn", balance_transactions=[taken])
    dispute.update("charge.dispute.updated", evidence_note=f"note {len(story.events)}")
    is_won = random_.random() < 0.5
    dispute.happen("charge.dispute.closed", status="won" if is_won else "lost")
    if not is_won:
        return amount
    back = {"id": f"txn_{name}_1", "object": "balance_transaction", "amount": amount}
    dispute.happen("charge.dispute.funds_reinstated", balance_transactions=[taken, back])
    return 0
