"""MRR of random customers under every preset, against plain loops that share no code with it."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from growth_pipeline.core.recurring import Discount, Item, Price, Subscription, Tier
from growth_pipeline.revenue.normalise import customer_mrr
from growth_pipeline.revenue.policies import PRESETS

DAY = 86_400
AT = 1_900_000_000
STATUSES = "active past_due trialing incomplete incomplete_expired unpaid canceled paused".split()
# What the vendors publish: grace in days, durations that lower MRR, usage in, paused collection in.
RULES = {
    "growth": (30, ("forever", "repeating"), False, False),
    "stripe": (None, ("forever", "repeating"), False, False),
    "chartmogul": (None, ("forever", "repeating", "once"), False, True),
    "profitwell": (15, ("forever", "repeating", "once"), True, False),
    "baremetrics": (30, ("forever", "repeating", "once"), False, False),
}
A_MONTH = {
    "year": Fraction(1, 12),
    "month": Fraction(1),
    "week": Fraction(52, 12),
    "day": Fraction("365.2425") / 12,
}


# --- what is asked: plain dictionaries -------------------------------------------------------------


def random_discount(dice):
    edge = lambda: AT + dice.choice((-9, -1, 0, 1, 9)) if dice.random() < 0.5 else None  # noqa: E731
    return {
        "duration": dice.choice(("forever", "repeating", "once")),
        "percent": dice.choice((0, 5, 33, 100, "12.5")) if dice.random() < 0.6 else None,
        "off": {dice.choice(("usd", "jpy", "kwd")): dice.randrange(5000)},
        "starts": edge(),
        "ends": edge(),
        "products": dice.choice((None, {"a"}, {"a", "b"})),
    }


def some_discounts(dice):
    return [random_discount(dice) for _ in range(dice.choice((0, 0, 0, 1, 2)))]


def random_item(dice, name):
    bounds = sorted(dice.sample(range(1, 60), dice.randrange(3)))
    steps = [(up_to, dice.randrange(900), dice.choice((0, 500))) for up_to in [*bounds, None]]
    return {
        "id": name,
        "product": dice.choice("abc"),
        "interval": dice.choice((*A_MONTH, None)),
        "count": dice.randrange(1, 7),
        "amount": dice.choice((0, 1, 999, 2900, "0.125", 118_800))
        if dice.random() < 0.97
        else None,
        "quantity": dice.choice((0, 1, 1, 2, 7, 25, 61)),
        "metered": dice.random() < 0.15,
        "mode": dice.choice((None, None, "graduated", "volume")),
        "steps": steps,
        "pack": dice.choice((1, 1, 10)),
        "up": dice.random() < 0.5,
        "free_until": dice.choice((None, None, AT, AT + 1)),
        "discounts": some_discounts(dice),
    }


def random_subscription(dice, name):
    since = AT - dice.choice((0, 14, 15, 29, 30, 31)) * DAY + dice.choice((-1, 0, 1))
    return {
        "currency": dice.choice(("usd", "usd", "jpy", "kwd")),
        "status": dice.choice((*STATUSES, *["active"] * 12, "past_due", "past_due")),
        "paused": dice.random() < 0.1,
        "since": dice.choice((since, since, None)),
        "items": [random_item(dice, f"{name}_{n}") for n in range(dice.randrange(1, 4))],
        "discounts": some_discounts(dice),
        "theirs": some_discounts(dice),
    }


# --- the same, as the product takes it -------------------------------------------------------------


def as_discounts(told):
    return tuple(
        Discount(
            one["duration"],
            None if one["percent"] is None else Fraction(one["percent"]),
            {} if one["percent"] is not None else one["off"],
            one["starts"],
            one["ends"],
            None if one["products"] is None else frozenset(one["products"]),
        )
        for one in told
    )


def as_item(one, currency):
    price = Price(
        "price",
        currency,
        one["product"],
        one["interval"],
        one["count"],
        None if one["amount"] is None else Fraction(one["amount"]),
        one["metered"],
        one["mode"],
        tuple(Tier(top, Fraction(unit), Fraction(flat)) for top, unit, flat in one["steps"]),
        one["pack"],
        one["up"],
    )
    return Item(
        one["id"], price, one["quantity"], as_discounts(one["discounts"]), one["free_until"]
    )


def as_subscription(one):
    return Subscription(
        one["status"],
        one["currency"],
        tuple(as_item(item, one["currency"]) for item in one["items"]),
        as_discounts(one["discounts"]),
        as_discounts(one["theirs"]),
        one["paused"],
        one["since"],
    )


# --- the plain loops -------------------------------------------------------------------------------


def bill(item, rules):
    """One bill of an item; units one by one where there are tiers."""
    if item["interval"] is None or (item["metered"] and not rules[2]):
        return Fraction(0)
    if item["free_until"] is not None and item["free_until"] > AT:
        return Fraction(0)
    units, rest = divmod(item["quantity"], item["pack"])
    units += 1 if rest and item["up"] else 0
    if item["mode"] is None:
        return None if item["amount"] is None else Fraction(item["amount"]) * units
    step_of = lambda unit: next(  # noqa: E731
        n for n, step in enumerate(item["steps"]) if step[0] is None or unit <= step[0]
    )
    if item["mode"] == "volume":
        _, price, flat = item["steps"][step_of(units)]
        return Fraction(price * units + flat)
    reached = {0} | {step_of(unit) for unit in range(1, units + 1)}
    flats = sum(item["steps"][n][2] for n in reached)
    return Fraction(flats + sum(item["steps"][step_of(n)][1] for n in range(1, units + 1)))


def lower(left, items, discount, currency, rules):
    runs = (discount["starts"] is None or discount["starts"] <= AT) and (
        discount["ends"] is None or discount["ends"] > AT
    )
    if not runs or discount["duration"] not in rules[1]:
        return
    hit = [
        n
        for n, item in enumerate(items)
        if discount["products"] is None or item["product"] in discount["products"]
    ]
    whole = sum(left[n] for n in hit)
    if whole == 0:
        return
    if discount["percent"] is not None:
        kept = (100 - Fraction(discount["percent"])) / 100
    else:
        kept = max(Fraction(0), whole - discount["off"].get(currency, 0)) / whole
    for n in hit:
        left[n] = left[n] * kept


def is_counted(one, rules):
    if one["paused"] and not rules[3]:
        return False
    if one["status"] == "past_due":
        grace = rules[0]
        return grace is None or one["since"] is None or AT - one["since"] < grace * DAY
    return one["status"] == "active"


def worth(one, rules):
    """MRR of each item, exact; None in place of all where a price is unknown."""
    items = one["items"]
    if not is_counted(one, rules):
        return [Fraction(0) for _ in items]
    left = []
    for item in items:
        alone = [bill(item, rules)]
        if alone[0] is None:
            return None
        for discount in item["discounts"]:
            lower(alone, [item], discount, one["currency"], rules)
        left += alone
    for discount in one["discounts"] + one["theirs"]:
        lower(left, items, discount, one["currency"], rules)
    return [
        value * A_MONTH[item["interval"]] / item["count"] if item["interval"] else Fraction(0)
        for value, item in zip(left, items, strict=True)
    ]


def expected(company, rules):
    """Currency -> (exact sum, item id -> exact); None for what is unknown."""
    sums = {}
    for one in company.values():
        parts = worth(one, rules)
        known, items = sums.get(one["currency"], (Fraction(0), {}))
        if parts is None:
            sums[one["currency"]] = (None, items)
            continue
        items.update({item["id"]: part for item, part in zip(one["items"], parts, strict=True)})
        sums[one["currency"]] = (None if known is None else known + sum(parts), items)
    return sums


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("round_", range(10))
def test_random_customers_are_worth_what_plain_loops_say(name, seed, round_):
    dice = random.Random(seed * 10 + round_)
    for _ in range(60):
        company = {
            f"sub_{n}": random_subscription(dice, f"sub_{n}") for n in range(dice.randrange(1, 4))
        }
        asked = {key: as_subscription(one) for key, one in company.items()}
        found = customer_mrr("cus", asked, at=AT, policy=PRESETS[name])
        told = expected(company, RULES[name])
        assert [one.currency for one in found] == sorted(told), seed
        for one in found:
            whole, items = told[one.currency]
            assert one.exact == whole, seed
            if whole is None:
                assert one.minor is None, seed
                continue
            assert {part.item_id: part.exact for part in one.items} == items, seed
            check_rounding(one, items, seed)


def check_rounding(one, items, seed):
    """Rounded once half to even; parts sum to it, none a minor unit or more from its share."""
    off = abs(one.minor - one.exact)
    assert off < Fraction(1, 2) or (off == Fraction(1, 2) and one.minor % 2 == 0), seed
    assert sum(part.minor for part in one.items) == one.minor, seed
    if one.exact:
        quota = {name: value * one.minor / one.exact for name, value in items.items()}
        assert all(abs(part.minor - quota[part.item_id]) < 1 for part in one.items), seed
    assert all(part.minor >= 0 for part in one.items), seed
