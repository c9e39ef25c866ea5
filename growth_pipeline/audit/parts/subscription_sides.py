"""A subscription as Stripe and the mirror have it, an entitlement of the application, and the pair.

What the audit compares, and how it is read from rows and Stripe's JSON; no rule of judging.
Contract: docs/metrics.md, "Subscriptions, access and customers".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, Final

from growth_pipeline.billing.columns import COLUMNS, typed_values
from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.core.recurring import (
    COUNTED,
    Discount,
    Item,
    Price,
    Subscription,
    Tier,
    counts,
    net_mrr,
    round_minor,
)
from growth_pipeline.stripe_api.versions import Object, VersionAdapter, adapter_for, id_of

Row = Mapping[str, Any]

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


@dataclass(frozen=True)
class Catalogue:
    """What subscriptions refer to and do not tell themselves, as far as the mirror knows.

    `discounts`: by id, each with its coupon and bounds. `coupons`, `prices`: Stripe's objects by
    id. `past_due_since`: by subscription. `customer_discounts`: ids by customer.
    """

    discounts: Mapping[str, Row] = field(default_factory=dict)
    coupons: Mapping[str, Row] = field(default_factory=dict)
    prices: Mapping[str, Row] = field(default_factory=dict)
    past_due_since: Mapping[str, int] = field(default_factory=dict)
    customer_discounts: Mapping[str, Sequence[str]] = field(default_factory=dict)


def instant(seconds: int | None) -> str | None:
    """Unix seconds as people read them, in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


# --- reading -------------------------------------------------------------------------------------


def state_of_object(
    raw: Object, api_version: str, catalogue: Catalogue, *, seen_from: int
) -> State:
    """The state that Stripe's JSON tells.

    Raises: UnknownValueError when it lacks a field that its API version promises.
    """
    version = adapter_for(api_version)
    columns = _typed("subscriptions", version, raw)
    found = raw["items"]
    items = [(_typed("subscription_items", version, one, raw), one) for one in found["data"]]
    row = {**columns, "id": raw["id"], "created": raw["created"], "seen_from": seen_from}
    is_whole = found.get("has_more") is not True
    told = {**row, "is_whole": is_whole}
    return _state(told, items, _terms(told, items, version, raw, catalogue))


def state_of_row(row: Row, catalogue: Catalogue) -> State:
    """The state that the mirror's tables hold: their columns, not the payloads they came from.

    A payload that lacks what its API version promises leaves the MRR unknown.
    Raises: UnknownValueError for an API version that is not known.
    """
    version = adapter_for(row["api_version"])
    items = [(one, one["payload"] or {}) for one in row["items"]]
    told_at = row["seen_from"] if row["origin"] == "event" else None
    told = {**row, "told_at": told_at}
    try:
        terms = _terms(told, items, version, row["payload"], catalogue)
    except UnknownValueError:
        terms = None
    return _state(told, items, terms)


def _state(row: Row, items: Sequence[tuple[Row, Object]], terms: Subscription | None) -> State:
    billed = tuple(
        BilledItem(
            id=payload.get("id") or columns["id"],
            price_id=columns["price"],
            product=columns["product"],
            quantity=columns["quantity"],
            period_start=columns["current_period_start"],
            period_end=columns["current_period_end"],
        )
        for columns, payload in items
    )
    starts = [one.period_start for one in billed]
    ends_with_period = row["cancel_at_period_end"] and row["cancel_at"] is None
    period_end = max((one.period_end for one in billed), default=None)
    named = ("start_date", "canceled_at", "ended_at", "trial_start", "trial_end")
    instants = [row[name] for name in named if row[name] is not None]
    return State(
        id=row["id"],
        customer=row["customer"],
        created=row["created"],
        status=row["status"],
        currency=row["currency"],
        items=billed,
        terms=terms,
        seen_from=row["seen_from"],
        instants=(*instants, *starts),
        cancel_at=period_end if ends_with_period else row["cancel_at"],
        ended_at=row["ended_at"],
        cancellation_reason=row["cancellation_reason"],
        is_collection_paused=row["pause_collection_behavior"] is not None,
        latest_invoice=row["latest_invoice"],
        told_at=row.get("told_at"),
        is_whole=row.get("is_whole", True),
    )


def _typed(
    resource: str, version: VersionAdapter, found: Object, parent: Object | None = None
) -> dict[str, Any]:
    return dict(zip(COLUMNS[resource], typed_values(resource, version, found, parent), strict=True))


# --- what its MRR depends on ---------------------------------------------------------------------


def _terms(
    row: Row,
    items: Sequence[tuple[Row, Object]],
    version: VersionAdapter,
    raw: Object,
    catalogue: Catalogue,
) -> Subscription | None:
    """None as soon as one price, discount or coupon is not known: unknown is not 0."""
    products = {columns["product"] for columns, _ in items}
    reader = _DiscountReader(version, catalogue, is_of_one_product=len(products) == 1)
    own = reader.read(version.discounts_of(raw))
    theirs = reader.read(catalogue.customer_discounts.get(row["customer"], ()))
    read = [_item(one, version, raw, reader, catalogue) for one in items]
    if own is None or theirs is None or not row.get("is_whole", True):
        return None
    known = [one for one in read if one is not None]
    if len(known) < len(read):
        return None
    return Subscription(
        status=row["status"],
        currency=row["currency"],
        items=tuple(known),
        discounts=own,
        customer_discounts=theirs,
        is_collection_paused=row["pause_collection_behavior"] is not None,
        past_due_since=catalogue.past_due_since.get(row["id"]),
    )


def _item(
    item: tuple[Row, Object],
    version: VersionAdapter,
    raw: Object,
    reader: _DiscountReader,
    catalogue: Catalogue,
) -> Item | None:
    columns, payload = item
    price = price_of(columns, payload.get("price") or {}, catalogue)
    discounts = reader.read(version.discounts_of({"object": "subscription_item", **payload}))
    trial = payload.get("current_trial")
    if price is None or discounts is None or (trial or {}).get("trial_offer"):
        return None
    until = version.trial_of(raw, payload) if trial else None
    return Item(
        id=payload.get("id") or columns["id"],
        price=price,
        quantity=columns["quantity"],
        discounts=discounts,
        free_until=until[1] if until else None,
    )


def price_of(columns: Row, price: Row, catalogue: Catalogue) -> Price | None:
    """The price of an item by its typed columns; tiers and transformation from Stripe's JSON.

    None if what it bills for, and how often, is not told.
    """
    interval = columns["recurring_interval"]
    if interval is None:
        return None
    amount = columns["unit_amount_decimal"]
    known = catalogue.prices.get(columns["price"], {})
    transform = price.get("transform_quantity") or {}
    is_tiered = columns["billing_scheme"] == "tiered"
    return Price(
        id=columns["price"],
        currency=columns["currency"],
        product=columns["product"],
        interval=interval,
        interval_count=columns["recurring_interval_count"] or 1,
        unit_amount=None if amount is None else Fraction(amount),
        is_metered=columns["recurring_usage_type"] == "metered",
        mode=price.get("tiers_mode") or known.get("tiers_mode") if is_tiered else None,
        tiers=_tiers(price.get("tiers") or known.get("tiers") or ()),
        divide_by=transform.get("divide_by") or 1,
        round_up=transform.get("round") == "up",
    )


def price_of_object(price: Row, catalogue: Catalogue) -> Price | None:
    """A price of the catalogue by Stripe's JSON alone; None if it is not recurring."""
    recurring = price.get("recurring") or {}
    columns = {
        "price": price.get("id"),
        "currency": price.get("currency"),
        "product": id_of(price.get("product")),
        "unit_amount_decimal": price.get("unit_amount_decimal"),
        "recurring_interval": recurring.get("interval"),
        "recurring_interval_count": recurring.get("interval_count"),
        "recurring_usage_type": recurring.get("usage_type"),
        "billing_scheme": price.get("billing_scheme"),
    }
    return price_of(columns, price, catalogue)


def _tiers(told: Iterable[Row]) -> tuple[Tier, ...]:
    return tuple(
        Tier(one["up_to"], _decimal(one, "unit_amount"), _decimal(one, "flat_amount"))
        for one in told
    )


def _decimal(tier: Row, name: str) -> Fraction:
    exact = tier.get(f"{name}_decimal")
    return Fraction(str(exact)) if exact is not None else Fraction(tier.get(name) or 0)


@dataclass(frozen=True)
class _DiscountReader:
    """Discounts as they are told: whole, or by an id whose rest the catalogue may know."""

    version: VersionAdapter
    catalogue: Catalogue
    is_of_one_product: bool

    def read(self, told: Iterable[str | Object]) -> tuple[Discount, ...] | None:
        """The discounts; None as soon as one of them is not known."""
        read = [self._one(one) for one in told]
        known = [one for one in read if one is not None]
        return tuple(known) if len(known) == len(read) else None

    def _one(self, told: str | Object) -> Discount | None:
        if isinstance(told, str):
            found = self.catalogue.discounts.get(told)
            coupon = found and self.catalogue.coupons.get(found["coupon"] or "")
            bounds = (found["starts_at"], found["ends_at"]) if found else (None, None)
        else:
            coupon = _nested_coupon(told) or self.catalogue.coupons.get(
                self.version.coupon_of(told) or ""
            )
            bounds = (told.get("start"), told.get("end"))
        return self._of_coupon(coupon, *bounds) if coupon else None

    def _of_coupon(self, coupon: Row, starts: int | None, ends: int | None) -> Discount | None:
        # Stripe tells the products of a coupon only when it is asked to: not told is not "all".
        if "applies_to" not in coupon and not self.is_of_one_product:
            return None
        products = (coupon.get("applies_to") or {}).get("products")
        percent = coupon.get("percent_off")
        return Discount(
            duration=coupon["duration"],
            percent_off=None if percent is None else Fraction(str(percent)),
            amounts_off=_amounts_off(coupon),
            starts=starts,
            ends=ends,
            products=None if products is None else frozenset(products),
        )


def _nested_coupon(discount: Object) -> Row | None:
    source = discount.get("source") or {}
    coupon = source.get("coupon", discount.get("coupon"))
    return coupon if isinstance(coupon, dict) else None


def _amounts_off(coupon: Row) -> dict[str, int]:
    if coupon.get("amount_off") is None:
        return {}
    options = coupon.get("currency_options") or {}
    others = {currency: one["amount_off"] for currency, one in options.items()}
    return {**others, coupon["currency"]: coupon["amount_off"]}
