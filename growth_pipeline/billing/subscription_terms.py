"""What the MRR of a subscription depends on, read from rows and Stripe's JSON: prices, discounts.

Unknown is not 0: as soon as one price, discount or coupon is not known, the terms are not.
Contract: docs/metrics.md, "Subscriptions, access and customers".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from growth_pipeline.core.recurring import Discount, Item, Price, Subscription, Tier
from growth_pipeline.stripe_api.versions import Object, VersionAdapter, id_of

Row = Mapping[str, Any]


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


def terms_of(
    row: Row,
    items: Sequence[tuple[Row, Object]],
    version: VersionAdapter,
    raw: Object,
    catalogue: Catalogue,
) -> Subscription | None:
    """What its MRR depends on; None as soon as one price, discount or coupon is not known."""
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
            coupon = nested_coupon(told) or self.catalogue.coupons.get(
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


def nested_coupon(discount: Object) -> Row | None:
    """The coupon of a discount where it is told whole; None where only its id is."""
    source = discount.get("source") or {}
    coupon = source.get("coupon", discount.get("coupon"))
    return coupon if isinstance(coupon, dict) else None


def _amounts_off(coupon: Row) -> dict[str, int]:
    if coupon.get("amount_off") is None:
        return {}
    options = coupon.get("currency_options") or {}
    others = {currency: one["amount_off"] for currency, one in options.items()}
    return {**others, coupon["currency"]: coupon["amount_off"]}
