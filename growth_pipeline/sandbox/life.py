"""One customer's life: a queue of things to come, and what is known about the customer meanwhile.

What happens is in the modules that act on a life: subscriptions, invoicing, payments, purchases.
"""

from __future__ import annotations

import copy
import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from growth_pipeline.sandbox.catalogue import Catalogue
from growth_pipeline.sandbox.contracts import Contracts, price_of
from growth_pipeline.sandbox.currencies import CURRENCIES
from growth_pipeline.sandbox.journal import Account, Journal, Json
from growth_pipeline.sandbox.names import Names

COUNTRIES = {"usd": "US", "eur": "DE", "gbp": "GB", "jpy": "JP", "kwd": "KW"}
# Most customers pay in dollars; every currency appears among the first eight.
CURRENCY_CYCLE = ("usd", "eur", "usd", "gbp", "jpy", "usd", "kwd", "eur")
FIRST_NAMES = ("Ana", "Bo", "Cy", "Di", "Ed", "Fi", "Gus", "Hana", "Ivo", "Jo", "Kim", "Lea")
LAST_NAMES = ("Abe", "Brandt", "Costa", "Duval", "Eriksen", "Fuchs", "Gray", "Haddad", "Ito")


@dataclass(frozen=True)
class World:
    """What all lives share. `[start, as_of)` in epoch seconds is when things happen."""

    seed: int
    account: Account
    catalogue: Catalogue
    start: int
    as_of: int
    events_from: int


class Line(NamedTuple):
    """An invoice line to be: for an item, an amount, a period; `credits` names a prorated invoice.

    `invoice_item`: the line corrects a period that was billed before, and waits as this item.
    """

    item: Json
    amount: int
    description: str
    period: tuple[int, int]
    invoice_item: str | None = None
    credits: str | None = None


class Given(NamedTuple):
    """A coupon in use beside the subscription's first: `item` None is the whole subscription."""

    discount: Json
    coupon: str
    item: str | None


class Life:
    """One customer from sign-up to the as-of instant; the same seed and index, the same life."""

    def __init__(self, world: World, index: int, signed_up_at: int) -> None:
        self.world = world
        self.signed_up_at = signed_up_at
        self.rng = random.Random(f"{world.seed}/{index}")
        self.names = Names(world.seed, index)
        self.journal = Journal(world.account, self.names, world.events_from)
        self.currency = CURRENCY_CYCLE[(index + index // len(CURRENCY_CYCLE)) % len(CURRENCY_CYCLE)]
        self.payment_method: str | None = self.names.new("pm")
        self.bank_account: str | None = None
        self.last4 = f"{self.rng.randrange(10_000):04d}"
        self.declines = 0
        self.bank_refuses = False
        self.gives_up = "cancel"
        self.customer: Json = {}
        self.subscription: Json = {}
        self.items: list[Json] = []
        self.cycle = 0
        self.discount: Json | None = None
        self.coupon: str | None = None
        self.given: list[Given] = []
        self.contracts = Contracts()
        self.agreed: dict[str, tuple[str, int]] = {}
        self.has_another = False
        self.pending_lines: list[Line] = []
        self.invoice_count = 0
        self.credit_count = 0
        self.left_at: int | None = None
        self.past_due_since: int | None = None
        self.joins: dict[str, Json] = {}
        self.sessions: dict[str, Json] = {}
        self._queue: list[tuple[int, int, Life, Callable[..., object], tuple[Any, ...], Json]] = []
        self._numbers = itertools.count()

    @property
    def livemode(self) -> bool:
        """Mode of the account."""
        return self.world.account.livemode

    @property
    def catalogue(self) -> Catalogue:
        """The company's price list."""
        return self.world.catalogue

    @property
    def country(self) -> str:
        """Country that goes with the currency."""
        return COUNTRIES[self.currency]

    @property
    def exponent(self) -> int:
        """Decimals of the customer's currency."""
        return CURRENCIES[self.currency].exponent

    def later(self, at: int, action: Callable[..., object], *args: Any, **options: Any) -> None:
        """Lets `action(life, at, *args, **options)` happen at a second; never from `as_of` on."""
        if at < self.world.as_of:
            heapq.heappush(self._queue, (at, next(self._numbers), self, action, args, options))

    def live(self) -> Journal:
        """Everything that happens before the as-of instant, in order of time."""
        while self._queue:
            at, _, life, action, args, options = heapq.heappop(self._queue)
            action(life, at, *args, **options)
        return self.journal

    def beside(self) -> Life:
        """The same customer with another subscription, at the same time."""
        other = copy.copy(self)
        other.subscription, other.items, other.agreed = {}, [], {}
        other.discount, other.coupon, other.given = None, None, []
        other.pending_lines, other.cycle = [], 0
        other.past_due_since, other.declines, other.gives_up = None, 0, "cancel"
        other.has_another = True
        return other

    def note(self, at: int, what: str, **details: Any) -> None:
        """Writes down what happened to the contract, in the company's own words."""
        contract = self.subscription.get("id", "")
        self.contracts.note(at, self.customer["id"], contract, what, **details)

    def note_items(self, at: int, what: str = "items", **details: Any) -> None:
        """Writes down everything that is agreed from now on."""
        items = [
            {"item": item, "plan": plan, "quantity": quantity}
            | {"price": price_of(plan, self.currency, self.catalogue.plans)}
            for item, (plan, quantity) in self.agreed.items()
        ]
        self.note(at, what, items=items, **details)

    @property
    def is_gone(self) -> bool:
        """Whether the customer was deleted."""
        return self.customer["id"] in self.journal.deleted

    def charges(self) -> list[Json]:
        """The customer's charges, oldest first."""
        return [obj for obj in self.journal.objects.values() if obj["object"] == "charge"]

    def last_settled_charge(self) -> Json | None:
        """The newest charge that succeeded, was captured, and has nothing against it yet."""
        for charge in reversed(self.charges()):
            clean = not charge["disputed"] and charge["amount_refunded"] == 0
            if charge["status"] == "succeeded" and charge["captured"] and clean:
                return charge
        return None
