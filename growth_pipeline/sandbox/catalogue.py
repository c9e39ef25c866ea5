"""What the company sells: products, prices in five currencies, coupons."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from growth_pipeline.sandbox import shapes
from growth_pipeline.sandbox.currencies import CURRENCIES, list_price, rounded
from growth_pipeline.sandbox.journal import Journal, Json
from growth_pipeline.sandbox.names import HOUR


@dataclass(frozen=True)
class Tier:
    """Units up to a bound (None: without end) at a unit price, and a flat amount; US cents."""

    up_to: int | None
    unit: int
    flat: int = 0


@dataclass(frozen=True)
class Plan:
    """One thing on the price list. `unit`: US cents per unit and period; other currencies follow.

    `tiers_mode`: graduated prices each unit in its own tier, volume all units in the last one.
    """

    product: str
    unit: int = 0
    interval: str | None = "month"
    interval_count: int = 1
    tiers_mode: str | None = None
    tiers: tuple[Tier, ...] = ()


PRODUCTS = {
    "starter": "Starter",
    "pro": "Pro",
    "team": "Team (per seat)",
    "pulse": "Pulse (weekly)",
    "volume": "Volume (tiered)",
    "legacy": "Legacy",
    "setup": "Set-up",
    **{f"addon{number:02d}": f"Add-on {number}" for number in range(1, 13)},
}
PLANS = {
    "starter_monthly": Plan("starter", 1900),
    "starter_yearly": Plan("starter", 19000, "year"),
    "pro_monthly": Plan("pro", 4900),
    "pro_yearly": Plan("pro", 49000, "year"),
    "pro_quarterly": Plan("pro", 13200, "month", 3),
    "team_monthly": Plan("team", 1200),
    "team_yearly": Plan("team", 12000, "year"),
    "pulse_weekly": Plan("pulse", 700, "week"),
    "volume_graduated": Plan(
        "volume",
        tiers_mode="graduated",
        tiers=(Tier(10, 500), Tier(50, 400, 1000), Tier(None, 300)),
    ),
    "volume_flat": Plan("volume", tiers_mode="volume", tiers=(Tier(20, 450, 500), Tier(None, 350))),
    "legacy_monthly": Plan("legacy", 2900),
    "free_monthly": Plan("starter", 0),
    "setup_once": Plan("setup", 9900, None),
    **{
        f"addon{number:02d}_monthly": Plan(f"addon{number:02d}", 100 * number)
        for number in range(1, 13)
    },
}
COUPONS: dict[str, Json] = {
    "FRIENDS20": {"name": "Friends", "duration": "forever", "percent_off": 20.0},
    "LAUNCH50": {
        "name": "Launch",
        "duration": "repeating",
        "duration_in_months": 3,
        "percent_off": 50.0,
    },
    "WELCOME5": {"name": "Welcome", "duration": "once", "amount_off": 500, "currency": "usd"},
}


def amount_of(plan: Plan, quantity: int, currency: str) -> int:
    """Price of a quantity for one period, in minor units of the currency."""
    if plan.tiers_mode is None:
        return list_price(plan.unit, currency) * quantity
    if plan.tiers_mode == "volume":
        tier = next(t for t in plan.tiers if t.up_to is None or quantity <= t.up_to)
        return list_price(tier.unit, currency) * quantity + list_price(tier.flat, currency)
    total, below = 0, 0
    for tier in plan.tiers:
        upper = quantity if tier.up_to is None else min(quantity, tier.up_to)
        if upper <= below:
            break
        total += list_price(tier.unit, currency) * (upper - below)
        total += list_price(tier.flat, currency)
        below = upper
    return total


def tiers_of(plan: Plan, currency: str) -> list[Json] | None:
    """A price's tiers as Stripe shows them when expanded; None for a price without tiers."""
    if plan.tiers_mode is None:
        return None
    return [
        {
            "flat_amount": list_price(tier.flat, currency) or None,
            "flat_amount_decimal": str(list_price(tier.flat, currency)) if tier.flat else None,
            "unit_amount": list_price(tier.unit, currency),
            "unit_amount_decimal": str(list_price(tier.unit, currency)),
            "up_to": tier.up_to,
        }
        for tier in plan.tiers
    ]


def discount_of(coupon: Json, amount: int, currency: str) -> int:
    """What a coupon takes off an amount, in minor units; never more than the amount."""
    if coupon["amount_off"] is not None:
        return min(amount, coupon["amount_off"]) if coupon["currency"] == currency else 0
    share = Fraction(coupon["percent_off"]) / 100
    return rounded(amount * share, currency)


@dataclass
class Catalogue:
    """The price list as Stripe objects. `prices`: by plan and currency."""

    prices: dict[tuple[str, str], Json] = field(default_factory=dict)
    coupons: dict[str, Json] = field(default_factory=dict)

    def price(self, plan: str, currency: str) -> Json:
        """The price object of a plan in a currency."""
        return self.prices[plan, currency]

    def plan_of(self, price: Json) -> Plan:
        """The plan that a price object belongs to."""
        return PLANS[price["lookup_key"].rsplit("_", 1)[0]]


def open_shop(journal: Journal, at: int) -> Catalogue:
    """Writes the price list at the company's first second; the catalogue for its customers."""
    livemode = journal.account.livemode
    products = {}
    for key, name in PRODUCTS.items():
        product = shapes.product(journal.names.new("prod"), name, created=at, livemode=livemode)
        products[key] = journal.add(product, at, "product.created", asked=True)
    catalogue = Catalogue()
    for key, plan in PLANS.items():
        for currency in CURRENCIES:
            price = shapes.price(
                journal.names.new("price"),
                products[plan.product]["id"],
                lookup_key=f"{key}_{currency}",
                currency=currency,
                unit_amount=None if plan.tiers_mode else list_price(plan.unit, currency),
                interval=plan.interval,
                interval_count=plan.interval_count,
                tiers_mode=plan.tiers_mode,
                created=at + 1,
                livemode=livemode,
            )
            catalogue.prices[key, currency] = journal.add(
                price, at + 1, "price.created", asked=True
            )
    for coupon_id, terms in COUPONS.items():
        coupon = shapes.coupon(coupon_id, created=at + 1, livemode=livemode, **terms)
        catalogue.coupons[coupon_id] = journal.add(coupon, at + 1, "coupon.created", asked=True)
    for key, product in products.items():
        first = next(
            price for (plan, _), price in catalogue.prices.items() if PLANS[plan].product == key
        )
        changes = {"default_price": first["id"], "updated": at + 2}
        journal.change(product, at + 2, changes, "product.updated", asked=True)
    return catalogue


def close_legacy(journal: Journal, catalogue: Catalogue, at: int) -> None:
    """The company stops selling a product that nobody had bought."""
    ended = [price for (plan, _), price in catalogue.prices.items() if plan == "legacy_monthly"]
    for price in ended:
        journal.change(price, at, {"active": False}, "price.updated", asked=True)
    product = journal.objects[ended[0]["product"]]
    changes = {"active": False, "default_price": None, "updated": at + HOUR}
    journal.change(product, at + HOUR, changes, "product.updated", asked=True)
