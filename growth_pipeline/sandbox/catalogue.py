"""What the company sells: products, prices in five currencies, coupons."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from growth_pipeline.sandbox import shapes
from growth_pipeline.sandbox.currencies import CURRENCIES, list_price, rounded
from growth_pipeline.sandbox.journal import Journal, Json
from growth_pipeline.sandbox.names import DAY, HOUR


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
    `thousandths` of a minor unit come on top of the unit's price. `divide_by`: the price is for so
    many units, what is left over counts whole or not at all. `metered`: billed by usage.
    """

    product: str
    unit: int = 0
    interval: str | None = "month"
    interval_count: int = 1
    tiers_mode: str | None = None
    tiers: tuple[Tier, ...] = ()
    thousandths: int = 0
    divide_by: int = 1
    round_up: bool = False
    metered: bool = False


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

# Days before the as-of instant on which an experiment is taken back.
TRIED_DAYS_AGO = (0.4, 2.6, 11.0, 30.6, 52.0)
# What customers type, and the coupon they get.
CODES = {"HELLO": "LAUNCH50", "BYEBYE": "FRIENDS20"}


def amount_of(plan: Plan, quantity: int, currency: str) -> int:
    """Price of a quantity for one period, in minor units of the currency."""
    if plan.metered:
        return 0
    if plan.divide_by > 1:
        quantity = (quantity + (plan.divide_by - 1) * plan.round_up) // plan.divide_by
    if plan.tiers_mode is None:
        unit = list_price(plan.unit, currency) + Fraction(plan.thousandths, 1000)
        return rounded(unit * quantity, currency)
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
    """The price list as Stripe objects. `prices`: by plan and currency; `codes`: by the word.

    `plans` and `terms` (of coupons) say the same in the company's own words.
    """

    prices: dict[tuple[str, str], Json] = field(default_factory=dict)
    coupons: dict[str, Json] = field(default_factory=dict)
    codes: dict[str, Json] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=lambda: PLANS)
    terms: dict[str, Json] = field(default_factory=lambda: COUPONS)

    def price(self, plan: str, currency: str) -> Json:
        """The price object of a plan in a currency."""
        return self.prices[plan, currency]

    def plan_of(self, price: Json) -> Plan:
        """The plan that a price object belongs to."""
        return self.plans[price["lookup_key"].rsplit("_", 1)[0]]


def open_shop(
    journal: Journal,
    at: int,
    *,
    plans: dict[str, Plan] = PLANS,
    coupons: dict[str, Json] = COUPONS,
) -> Catalogue:
    """Writes the price list at the company's first second; the catalogue for its customers."""
    livemode = journal.account.livemode
    products = {}
    for key, name in PRODUCTS.items():
        product = shapes.product(journal.names.new("prod"), name, created=at, livemode=livemode)
        products[key] = journal.add(product, at, "product.created", asked=True)
    catalogue = Catalogue(plans=plans, terms=coupons)
    for key, plan in plans.items():
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
            _refine(price, plan)
            catalogue.prices[key, currency] = _sell(journal, at + 1, price)
    for coupon_id, sold in coupons.items():
        terms = _with_products(sold, {key: one["id"] for key, one in products.items()})
        coupon = shapes.coupon(coupon_id, created=at + 1, livemode=livemode, **terms)
        catalogue.coupons[coupon_id] = journal.add(coupon, at + 1, "coupon.created", asked=True)
    for code, coupon_id in CODES.items():
        word = shapes.promotion_code(
            journal.names.new("promo"), code, coupon_id, created=at + 1, livemode=livemode
        )
        catalogue.codes[code] = journal.add(word, at + 1, "promotion_code.created", asked=True)
    for key, product in products.items():
        first = next(
            price for (plan, _), price in catalogue.prices.items() if plans[plan].product == key
        )
        changes = {"default_price": first["id"], "updated": at + 2}
        journal.change(product, at + 2, changes, "product.updated", asked=True)
    return catalogue


def _refine(price: Json, plan: Plan) -> None:
    """What only some prices have: parts of a minor unit, packs of units, billing by usage."""
    if plan.thousandths:
        price["unit_amount_decimal"] = f"{price['unit_amount']}.{plan.thousandths:03d}"
        price["unit_amount"] = None
    if plan.divide_by > 1:
        how = "up" if plan.round_up else "down"
        price["transform_quantity"] = {"divide_by": plan.divide_by, "round": how}
    if plan.metered:
        price["recurring"] = {**price["recurring"], "usage_type": "metered"}


def _with_products(terms: Json, ids: dict[str, str]) -> Json:
    """Terms of a coupon; the products it is for by their ids."""
    if not terms.get("applies_to"):
        return terms
    return {**terms, "applies_to": {"products": [ids[one] for one in terms["applies_to"]]}}


def _sell(journal: Journal, at: int, price: Json) -> Json:
    """A new price; a recurring one is a plan too, under the same id."""
    journal.add(price, at, "price.created", asked=True)
    if price["recurring"]:
        journal.tell(shapes.plan(price), at, "plan.created", asked=True)
    return price


def _change_price(journal: Journal, at: int, price: Json, changes: Json) -> None:
    old = {key: price[key] for key in changes}
    journal.change(price, at, changes, "price.updated", asked=True)
    journal.tell(shapes.plan(price), at, "plan.updated", previous=old, asked=True)


def close_legacy(journal: Journal, catalogue: Catalogue, at: int) -> None:
    """The company stops selling a product that nobody had bought."""
    ended = [price for (plan, _), price in catalogue.prices.items() if plan == "legacy_monthly"]
    for price in ended:
        _change_price(journal, at, price, {"active": False})
    product = journal.objects[ended[0]["product"]]
    changes = {"active": False, "default_price": None, "updated": at + HOUR}
    journal.change(product, at + HOUR, changes, "product.updated", asked=True)


def try_things(journal: Journal, start: int, as_of: int) -> None:
    """Things the company tries and takes back: products, prices and coupons that are deleted.

    Some go while Stripe still keeps the events about it, some went before. `SEASON` is the id of
    two coupons, one after the other.
    """
    for number, days in enumerate(TRIED_DAYS_AGO):
        begun, ended = start + (number + 1) * HOUR, as_of - round(days * DAY)
        if begun + DAY < ended:
            _try(journal, number, begun, ended)
    again = as_of - 16 * DAY
    if start + DAY < again:
        livemode = journal.account.livemode
        first = shapes.coupon(
            "SEASON", "Winter", created=start + 3, livemode=livemode, percent_off=10.0
        )
        journal.add(first, start + 3, "coupon.created", asked=True)
        journal.delete(first, again - HOUR, "coupon.deleted")
        second = shapes.coupon(
            "SEASON", "Summer", created=again, livemode=livemode, percent_off=15.0
        )
        journal.add(second, again, "coupon.created", asked=True)


def _try(journal: Journal, number: int, begun: int, ended: int) -> None:
    livemode, names = journal.account.livemode, journal.names
    product = shapes.product(
        names.new("prod"), f"Experiment {number + 1}", created=begun, livemode=livemode
    )
    journal.add(product, begun, "product.created", asked=True)
    price = shapes.price(
        names.new("price"),
        product["id"],
        lookup_key=f"experiment{number + 1}_usd",
        currency="usd",
        unit_amount=900 + 100 * number,
        interval="month",
        interval_count=1,
        tiers_mode=None,
        created=begun + 1,
        livemode=livemode,
    )
    _sell(journal, begun + 1, price)
    coupon = shapes.coupon(
        f"TRY{number + 1}", "Try it", created=begun + 2, livemode=livemode, percent_off=25.0
    )
    journal.add(coupon, begun + 2, "coupon.created", asked=True)
    halfway = begun + (ended - begun) // 2
    changes = {"name": f"Experiment {number + 1}, second try", "updated": halfway}
    journal.change(product, halfway, changes, "product.updated", asked=True)
    _change_price(journal, halfway, price, {"nickname": "early bird"})
    journal.change(coupon, halfway, {"name": "Try it again"}, "coupon.updated", asked=True)
    journal.delete(coupon, ended, "coupon.deleted")
    journal.delete(price, ended + 60, "price.deleted")
    journal.tell(shapes.plan(price), ended + 60, "plan.deleted", asked=True)
    journal.delete(product, ended + 120, "product.deleted")


def withdraw_code(journal: Journal, catalogue: Catalogue, at: int) -> None:
    """A promotion code that nobody can use any more."""
    journal.change(
        catalogue.codes["BYEBYE"], at, {"active": False}, "promotion_code.updated", asked=True
    )
