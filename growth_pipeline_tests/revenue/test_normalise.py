"""MRR of items, subscriptions and customers under policies, worked by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest

from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.core.recurring import Discount, Item, Price, Subscription
from growth_pipeline.revenue.normalise import (
    ItemMrr,
    customer_mrr,
    normalise_to_month,
    round_customer,
    rounded,
    share_minor,
    subscription_mrr,
    totals,
)
from growth_pipeline.revenue.policies import PRESETS, policy_named

AT = 1_900_000_000
DAY = 86_400
GROWTH = PRESETS["growth"]


def a_price(amount, interval="month", count=1, currency="usd", **more) -> Price:
    return Price("price_1", currency, "prod_1", interval, count, Fraction(amount), **more)


def an_item(amount, interval="month", count=1, *, id="si_1", quantity=1, **more) -> Item:
    return Item(id, a_price(amount, interval, count), quantity, **more)


def a_subscription(*items, status="active", currency="usd", **more) -> Subscription:
    return Subscription(status, currency, items, **more)


def percent(number, duration="forever", **more) -> Discount:
    return Discount(duration, percent_off=Fraction(number), **more)


def off(minor, currency="usd", **more) -> Discount:
    return Discount("forever", amounts_off={currency: minor}, **more)


def test_a_weekly_item_is_worth_52_twelfths_of_it():
    assert normalise_to_month(an_item(700, "week", 2, quantity=2), GROWTH) == Fraction(9100, 3)
    fixed = GROWTH.with_switches({"week_factor": "4.33"})
    assert normalise_to_month(an_item(700, "week", 2, quantity=2), fixed) == 3031


def test_discounts_of_item_subscription_and_customer_multiply_in_that_order():
    # 100.00, less 10 % = 90.00, less 15.00 = 75.00, less 20 % = 60.00.
    found = a_subscription(
        an_item(10_000, discounts=(percent(10),)),
        discounts=(off(1500),),
        customer_discounts=(percent(20),),
    )
    assert subscription_mrr(found, at=AT, policy=GROWTH) == 6000
    # Stripe bills the customer's discount only where the subscription has none: 75.00.
    instead = GROWTH.with_switches({"customer_discounts": "instead"})
    assert subscription_mrr(found, at=AT, policy=instead) == 7500


@pytest.mark.parametrize(
    ("duration", "recurring", "none", "forever", "every"),
    [
        ("forever", 9000, 10_000, 9000, 9000),
        ("repeating", 9000, 10_000, 10_000, 9000),
        ("once", 10_000, 10_000, 10_000, 9000),
    ],
)
def test_the_policy_says_which_discounts_lower_mrr(duration, recurring, none, forever, every):
    found = a_subscription(an_item(10_000), discounts=(percent(10, duration),))
    asked = {"recurring": recurring, "none": none, "forever": forever, "all": every}
    for word, minor in asked.items():
        policy = GROWTH.with_switches({"discounts": word})
        assert subscription_mrr(found, at=AT, policy=policy) == minor


def test_an_amount_off_is_spread_by_amount_and_lowers_nothing_below_0():
    # 60.00 and 20.00, 12.00 off: 9.00 and 3.00. Only for the product of the second: 60.00 and 8.00.
    second = Price("price_2", "usd", "prod_2", "month", 1, Fraction(2000))
    items = (an_item(6000), Item("si_2", second))
    spread = customer_mrr(
        "cus_1", {"sub_1": a_subscription(*items, discounts=(off(1200),))}, at=AT, policy=GROWTH
    )
    assert [part.minor for part in spread[0].items] == [5100, 1700]
    chosen = off(1200, products=frozenset({"prod_2"}))
    one = customer_mrr(
        "cus_1", {"sub_1": a_subscription(*items, discounts=(chosen,))}, at=AT, policy=GROWTH
    )
    assert [part.minor for part in one[0].items] == [6000, 800]
    assert (
        subscription_mrr(a_subscription(*items, discounts=(off(9999),)), at=AT, policy=GROWTH) == 0
    )
    foreign = a_subscription(*items, discounts=(off(1200, "eur"),))
    assert subscription_mrr(foreign, at=AT, policy=GROWTH) == 8000


@pytest.mark.parametrize(
    ("status", "minor"),
    [
        ("active", 5000),
        ("past_due", 5000),
        *((name, 0) for name in ("trialing", "incomplete", "incomplete_expired", "unpaid")),
        ("canceled", 0),
        ("paused", 0),
    ],
)
def test_a_status_counts_or_not(status, minor):
    assert (
        subscription_mrr(a_subscription(an_item(5000), status=status), at=AT, policy=GROWTH)
        == minor
    )


def test_an_unknown_status_is_an_error():
    with pytest.raises(UnknownValueError, match="'expired'"):
        subscription_mrr(a_subscription(an_item(1), status="expired"), at=AT, policy=GROWTH)


@pytest.mark.parametrize(
    ("name", "last_day"),
    [("growth", 30), ("profitwell", 15), ("baremetrics", 30), ("stripe", None)],
)
def test_grace_of_past_due_ends_by_policy(name, last_day):
    late = a_subscription(an_item(5000), status="past_due", past_due_since=AT)
    for days in (0, 14, 15, 29, 30, 400):
        counted = last_day is None or days < last_day
        found = subscription_mrr(late, at=AT + days * DAY, policy=PRESETS[name])
        assert found == (5000 if counted else 0), days


def test_paused_collection_is_0_but_stays_in_at_chartmogul():
    paused = a_subscription(an_item(5000), is_collection_paused=True)
    assert subscription_mrr(paused, at=AT, policy=GROWTH) == 0
    assert subscription_mrr(paused, at=AT, policy=PRESETS["chartmogul"]) == 5000


def test_usage_counts_at_profitwell_and_without_usage_it_is_unknown():
    usage = Item("si_1", a_price(10, is_metered=True), 300)
    assert normalise_to_month(usage, GROWTH) == 0
    assert normalise_to_month(usage, PRESETS["profitwell"]) == 3000
    silent = Item("si_1", a_price(10, is_metered=True), None)
    assert normalise_to_month(silent, PRESETS["profitwell"]) is None


def test_trials_count_where_the_policy_says_so():
    trial = a_subscription(an_item(5000), status="trialing")
    assert subscription_mrr(trial, at=AT, policy=GROWTH.with_switches({"trials": "in"})) == 5000


def test_a_customer_is_rounded_once_and_items_share_it():
    # Three times 10.00 a year: 0.8333 each, 2.50 together. Each alone would be 0.83, 2.49 in all.
    found = {f"sub_{n}": a_subscription(an_item(1000, "year", id=f"si_{n}")) for n in (3, 1, 2)}
    (one,) = customer_mrr("cus_1", found, at=AT, policy=GROWTH)
    assert (one.exact, one.minor) == (250, 250)
    assert [(part.item_id, part.minor) for part in one.items] == [
        ("si_1", 84),
        ("si_2", 83),
        ("si_3", 83),
    ]


def test_currencies_of_a_customer_stay_apart():
    euro = Subscription("active", "eur", (Item("si_e", a_price(700, currency="eur")),))
    found = customer_mrr(
        "cus_1", {"sub_u": a_subscription(an_item(500)), "sub_e": euro}, at=AT, policy=GROWTH
    )
    assert totals(found) == {"eur": 700, "usd": 500}


def test_an_unknown_price_leaves_customer_and_total_unknown():
    unknown = Item("si_1", Price("price_1", "usd", None, "month", 1, None))
    (one,) = customer_mrr("cus_1", {"sub_1": a_subscription(unknown)}, at=AT, policy=GROWTH)
    assert (one.exact, one.minor) == (None, None)
    assert totals([one]) == {"usd": None}


@pytest.mark.parametrize(
    ("exact", "currency", "switches", "minor"),
    [
        ("250.5", "usd", {}, 250),
        ("251.5", "usd", {}, 252),
        ("250.5", "usd", {"rounding": "half_up"}, 251),
        ("1250.5", "usd", {"rounding": "half_even", "rounding_places": "1"}, 1250),
        ("1255", "usd", {"rounding": "half_even", "rounding_places": "1"}, 1260),
        ("1245", "usd", {"rounding": "half_even", "rounding_places": "1"}, 1240),
        ("1250", "usd", {"rounding": "half_up", "rounding_places": "0"}, 1300),
        ("980.4", "jpy", {"rounding": "half_even", "rounding_places": "2"}, 980),
        ("7450.6", "kwd", {}, 7451),
    ],
)
def test_rounding_is_half_even_or_half_up_at_places(exact, currency, switches, minor):
    part = ItemMrr("sub_1", "si_1", Fraction(exact), Fraction(exact))
    policy = policy_named("growth").with_switches(switches)
    assert round_customer("cus_1", currency, [part], policy).minor == minor


def test_half_up_is_away_from_0_and_shares_of_nothing_are_nothing():
    assert [rounded(Fraction(n, 2), "half_up") for n in (-3, -1, 1, 3)] == [-2, -1, 1, 2]
    assert share_minor(0, [Fraction(0), Fraction(0)]) == [0, 0]
    assert share_minor(100, [Fraction(1, 3)] * 3) == [34, 33, 33]
