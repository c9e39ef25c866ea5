"""A subscription as Stripe and the mirror have it, an entitlement of the application, and the pair.

What the audit compares; no rule of judging. How it is read: subscription_states.py.
Contract: docs/metrics.md, "Subscriptions, access and customers".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Final

from growth_pipeline.core.recurring import COUNTED, Subscription, counts, net_mrr, round_minor

ENDED: Final = frozenset({"canceled", "incomplete_expired"})
LIVE: Final = frozenset({"trialing", "active", "past_due", "unpaid", "paused"})
# A second one of these is one too many.
RUNNING: Final = frozenset({"trialing", "active", "past_due"})
BILLED: Final = frozenset({"active", "past_due"})


@dataclass(frozen=True, slots=True)
class BilledItem:
    """One item of a subscription. Period: half-open Unix seconds. `quantity` None: metered."""

    id: str
    price_id: str
    product: str | None
    quantity: int | None
    period_start: int
    period_end: int


@dataclass(frozen=True, slots=True)
class State:
    """One subscription as one side has it.

    Grain: one subscription. Instants in Unix seconds. `terms` hold what its MRR depends on; None
    when something of it is not known. `seen_from`: since when the side has known this state.
    `told_at`: when the event behind the mirror's state happened. `is_whole`: its list of items is.
    """

    id: str
    customer: str
    created: int
    status: str
    currency: str
    items: tuple[BilledItem, ...]
    terms: Subscription | None
    seen_from: int
    instants: tuple[int, ...] = ()
    cancel_at: int | None = None
    ended_at: int | None = None
    cancellation_reason: str | None = None
    is_collection_paused: bool = False
    latest_invoice: str | None = None
    told_at: int | None = None
    is_whole: bool = True

    @property
    def is_live(self) -> bool:
        """Whether it runs: begun and not ended; trials and paused ones too."""
        return self.status in LIVE

    @property
    def facts(self) -> tuple[object, ...]:
        """What two states are compared in, to see whether a subscription changed."""
        return self.status, self.cancel_at, frozenset(_facts_of(self.items))

    def has_moved_from(self, earlier: State) -> bool:
        """Whether this state tells something else; a list of items cut short tells only a part."""
        if self.is_whole:
            return self.facts != earlier.facts
        items = set(_facts_of(self.items))
        same = (self.status, self.cancel_at) == (earlier.status, earlier.cancel_at)
        return not same or not items <= set(_facts_of(earlier.items))

    def exact_worth(self, at: int) -> Fraction | None:
        """What it bills a month after discounts, whatever its status; minor units, None unknown."""
        return None if self.terms is None else net_mrr(self.terms, at=at)

    def exact_mrr(self, at: int) -> Fraction | None:
        """Its MRR at an instant, not rounded; 0 while its status does not count; None unknown."""
        if self.terms is None:
            return None if self.status in COUNTED else Fraction(0)
        return self.exact_worth(at) if counts(self.terms, at=at) else Fraction(0)

    def worth(self, at: int) -> int | None:
        """`exact_worth` in whole minor units."""
        value = self.exact_worth(at)
        return None if value is None else round_minor(value)

    def mrr(self, at: int) -> int | None:
        """`exact_mrr` in whole minor units."""
        value = self.exact_mrr(at)
        return None if value is None else round_minor(value)

    def has_mrr(self, at: int) -> bool:
        """Whether its status counts at an instant; also True while that is not known."""
        return self.terms is None or counts(self.terms, at=at)

    def changed_before(self, at: int) -> int:
        """The last instant before `at` at which it is known to have changed."""
        last = self.created
        for one in (*self.instants, self.told_at or self.created):
            last = max(last, one) if one <= at else last
        return last


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A running subscription with no end set, and the products it is for.

    Grain: one subscription, by what is known of it last. `created`: Unix seconds.
    """

    id: str
    customer: str
    created: int
    products: frozenset[str]


def _facts_of(items: Iterable[BilledItem]) -> list[tuple[object, ...]]:
    return [(one.id, one.price_id, one.quantity, one.period_end) for one in items]


@dataclass(frozen=True, slots=True)
class Entitlement:
    """One row of billing.entitlements. Instants in Unix seconds, money in minor units."""

    id: int
    subscription_id: str | None
    customer_id: str | None
    user_id: str | None
    has_access: bool
    price_id: str | None
    quantity: int | None
    access_ends_at: int | None
    mrr_minor: int | None
    currency: str | None
    written_by: str
    written_at: int

    def lets_in(self, at: int) -> bool:
        """Whether there is access at an instant."""
        return self.has_access and (self.access_ends_at is None or at < self.access_ends_at)


@dataclass(frozen=True, slots=True)
class Pair:
    """All that is known of one subscription.

    `is_told`: whether the application tells anything at all about this account and mode. `at`: the
    as-of instant; `tolerance`: seconds by which ends of access may differ. `is_paid`: whether the
    newest invoice is known to be paid. `provided_mrr`: MRR of the price and quantity that the
    application names, minor units; None while unknown. `doubled`: subscriptions of the customer to
    the same product that this one is one too many of.
    """

    stripe: State | None
    mirror: State | None
    entitlement: Entitlement | None
    at: int
    is_told: bool = False
    tolerance: int = 0
    is_paid: bool = False
    provided_mrr: int | None = None
    doubled: tuple[str, ...] = ()


def instant(seconds: int | None) -> str | None:
    """Unix seconds as people read them, in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
