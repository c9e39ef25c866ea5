"""MRR of one subscription, worked by hand; sums by plain loops."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.core.recurring import (
    Discount,
    Discounts,
    Item,
    Price,
    Subscription,
    Terms,
    Tier,
    billed_amount,
    contract_mrr,
    counts,
    monthly_factor,
    mrr,
    net_mrr,
    round_minor,
)

AT = 1_760_000_000
DAY = 86_400


def a_price(amount: int | str, interval: str | None = "month", count: int = 1, **more) -> Price:
    return Price("price_1", "usd", "prod_1", interval, count, Fraction(amount), **more)


def an_item(price: Price, quantity: int | None = 1, **more) -> Item:
    return Item("si_1", price, quantity, **more)


def a_subscription(*items: Item, status: str = "active", **more) -> Subscription:
    return Subscription(status, "usd", items, **more)


def percent(number: int | str, duration: str = "forever", **more) -> Discount:
    return Discount(duration, percent_off=Fraction(number), **more)


@pytest.mark.parametrize(
    ("price", "quantity", "minor"),
    [
        (a_price(118_800, "year"), 1, "9900"),
        (a_price(9_000, "month", 3), 1, "3000"),
        (a_price(700, "week", 2), 2, "91000/30"),  # 14.00 x 52/12 / 2 = 30.3333
        (a_price(50, "day"), 1, "1521.84375"),  # 0.50 x 365.2425/12 = 15.2184
        (a_price("0.5", "month"), 3, "1.5"),
        (a_price(9_900, None), 1, "0"),
        (a_price(10, is_metered=True), None, "0"),
    ],
)
def test_an_item_is_worth_its_amount_a_month(price, quantity, minor):
    assert contract_mrr(an_item(price, quantity)) == Fraction(minor)


@pytest.mark.parametrize(
    ("terms", "minor"),
    [
        (Terms(week_factor=Fraction("4.33")), "3031"),  # 14.00 x 4.33 / 2 = 30.31
        (Terms(week_factor=Fraction(0)), "0"),
        (Terms(week_factor=Fraction("365.2425") / 84), "3043.6875"),
    ],
)
def test_the_week_factor_is_a_switch(terms, minor):
    assert contract_mrr(an_item(a_price(700, "week", 2), 2), terms) == Fraction(minor)


def test_an_unknown_interval_is_an_error_and_never_0():
    with pytest.raises(UnknownValueError, match="'fortnight'"):
        monthly_factor("fortnight", 1)
    with pytest.raises(UnknownValueError, match="0 x 'month'"):
        monthly_factor("month", 0)


def test_an_unknown_price_is_unknown_and_not_0():
    unknown = Price("price_1", "usd", "prod_1", "month", 1, None)
    assert contract_mrr(an_item(unknown)) is None
    assert mrr(a_subscription(an_item(a_price(100)), an_item(unknown)), at=AT) is None
    assert mrr(a_subscription(an_item(unknown), status="canceled"), at=AT) == 0


TIERS = (
    Tier(10, Fraction(500)),
    Tier(50, Fraction(400), Fraction(1000)),
    Tier(None, Fraction(300)),
)


@pytest.mark.parametrize(
    ("mode", "quantity", "minor"),
    [
        ("graduated", 10, 5_000),
        ("graduated", 11, 5_000 + 400 + 1_000),
        ("graduated", 60, 5_000 + 16_000 + 1_000 + 3_000),
        ("volume", 10, 5_000),
        ("volume", 11, 4_400 + 1_000),
        ("volume", 60, 18_000),
    ],
)
def test_tiers_are_evaluated_at_the_quantity(mode, quantity, minor):
    tiered = Price("price_t", "usd", "prod_1", "month", 1, None, mode=mode, tiers=TIERS)
    assert billed_amount(tiered, quantity) == minor


def test_a_quantity_of_0_pays_the_first_flat_amount():
    tiers = (Tier(5, Fraction(100), Fraction(900)), Tier(None, Fraction(50)))
    for mode in ("graduated", "volume"):
        tiered = Price("price_t", "usd", "prod_1", "month", 1, None, mode=mode, tiers=tiers)
        assert billed_amount(tiered, 0) == 900


def test_tiers_that_are_not_told_leave_the_price_unknown():
    assert billed_amount(Price("p", "usd", "prod_1", "month", 1, None, mode="volume"), 3) is None


def test_a_quantity_is_transformed_before_anything_else():
    up = a_price(1_000, divide_by=10, round_up=True)
    down = a_price(1_000, divide_by=10)
    assert [billed_amount(up, quantity) for quantity in (1, 10, 11)] == [1_000, 1_000, 2_000]
    assert [billed_amount(down, quantity) for quantity in (1, 10, 19)] == [0, 1_000, 1_000]


def test_percentages_multiply_on_what_is_left():
    """1,188.00 a year less 20 % and then 10 %: 71.28 a month, not 30 % off."""
    item = an_item(a_price(118_800, "year"), discounts=(percent(20),))
    assert mrr(a_subscription(item, discounts=(percent(10),)), at=AT) == 7_128


def test_a_discount_of_the_customer_counts_only_where_the_subscription_has_none():
    item = an_item(a_price(1_000))
    assert mrr(a_subscription(item, customer_discounts=(percent(50),)), at=AT) == 500
    both = a_subscription(item, discounts=(percent(10),), customer_discounts=(percent(50),))
    assert mrr(both, at=AT) == 900


def test_an_amount_off_is_per_bill_and_in_its_own_currency():
    """1,188.00 a year less 120.00 on each bill is 1,068.00 a year: 89.00 a month."""
    item = an_item(a_price(118_800, "year"))
    off = Discount("forever", amounts_off={"usd": 12_000})
    assert mrr(a_subscription(item, discounts=(off,)), at=AT) == 8_900
    foreign = Discount("forever", amounts_off={"eur": 12_000})
    assert mrr(a_subscription(item, discounts=(foreign,)), at=AT) == 9_900


def test_an_amount_off_is_spread_over_the_items_by_amount():
    """30.00 and 10.00, half off the second alone, then 8.00 off both: 35.00 - 8.00 = 27.00."""
    first = Item("si_1", a_price(3_000))
    second = Item("si_2", a_price(1_000), discounts=(percent(50),))
    off = Discount("forever", amounts_off={"usd": 800})
    assert mrr(a_subscription(first, second, discounts=(off,)), at=AT) == 2_700
    yearly = Item("si_3", a_price(12_000, "year"))
    mixed = a_subscription(Item("si_1", a_price(4_000)), yearly, discounts=(off,))
    # 8.00 over 40.00 and 120.00 is 2.00 and 6.00: 38.00 + 114.00 / 12
    assert mrr(mixed, at=AT) == 3_800 + 950


def test_a_discount_never_goes_below_0():
    off = Discount("forever", amounts_off={"usd": 5_000})
    assert mrr(a_subscription(an_item(a_price(1_000)), discounts=(off, percent(50))), at=AT) == 0


def test_a_discount_for_a_product_leaves_the_others_alone():
    kept = Item("si_1", Price("p1", "usd", "prod_1", "month", 1, Fraction(1_000)))
    lowered = Item("si_2", Price("p2", "usd", "prod_2", "month", 1, Fraction(1_000)))
    only = percent(50, products=frozenset({"prod_2"}))
    assert mrr(a_subscription(kept, lowered, discounts=(only,)), at=AT) == 1_500
    none = Discount("forever", amounts_off={"usd": 100}, products=frozenset({"prod_9"}))
    assert mrr(a_subscription(kept, lowered, discounts=(none,)), at=AT) == 2_000


@pytest.mark.parametrize(
    ("discount", "minor"),
    [
        (percent(50, "repeating", starts=AT - DAY, ends=AT + 1), 500),
        (percent(50, "repeating", starts=AT - DAY, ends=AT), 1_000),
        (percent(50, "forever", starts=AT), 500),
        (percent(50, "forever", starts=AT + 1), 1_000),
        (percent(50, "once"), 1_000),
    ],
)
def test_a_discount_counts_while_it_runs_and_goes_on(discount, minor):
    assert mrr(a_subscription(an_item(a_price(1_000)), discounts=(discount,)), at=AT) == minor


@pytest.mark.parametrize(
    ("which", "minor"),
    [
        (Discounts.RECURRING, 720),
        (Discounts.NONE, 1_000),
        (Discounts.FOREVER, 900),
        (Discounts.ALL, 360),
    ],
)
def test_which_discounts_count_is_a_switch(which, minor):
    given = (percent(10), percent(20, "repeating"), percent(50, "once"))
    found = a_subscription(an_item(a_price(1_000)), discounts=given)
    assert mrr(found, at=AT, terms=Terms(discounts=which)) == minor


def test_which_statuses_count():
    statuses = [
        *("active", "past_due", "trialing", "incomplete", "incomplete_expired"),
        *("unpaid", "canceled", "paused"),
    ]
    item = an_item(a_price(1_000))
    counted = [one for one in statuses if counts(a_subscription(item, status=one), at=AT)]
    assert counted == ["active", "past_due"]
    assert counts(a_subscription(item, status="trialing"), at=AT, terms=Terms(count_trials=True))
    assert not counts(a_subscription(item, is_collection_paused=True), at=AT)


def test_past_due_counts_for_30_days():
    item = an_item(a_price(1_000))
    for days, minor in ((29, 1_000), (30, 0)):
        since = AT - days * DAY
        found = a_subscription(item, status="past_due", past_due_since=since)
        assert mrr(found, at=AT) == minor


def test_an_item_in_its_own_free_trial_is_worth_nothing_yet():
    item = an_item(a_price(1_000), free_until=AT + 1)
    paid = Item("si_2", a_price(300))
    assert mrr(a_subscription(item, paid), at=AT) == 300
    assert mrr(a_subscription(item, paid), at=AT + 1) == 1_300


def test_items_of_two_currencies_are_refused():
    item = Item("si_1", Price("p", "eur", "prod_1", "month", 1, Fraction(100)))
    with pytest.raises(UnknownValueError, match="si_1 is in eur"):
        net_mrr(a_subscription(item), at=AT)


@pytest.mark.parametrize(
    ("exact", "whole"),
    [("0.5", 0), ("1.5", 2), ("2.5", 2), ("2.51", 3), ("2.49", 2), ("91000/30", 3033), ("-0.5", 0)],
)
def test_rounding_is_half_to_even(exact, whole):
    assert round_minor(Fraction(exact)) == whole


def test_graduated_tiers_price_unit_by_unit(seed):
    """Against a loop over single units, for random tiers."""
    chance = random.Random(seed)
    for _ in range(300):
        bounds = sorted(chance.sample(range(1, 40), chance.randrange(1, 5)))
        tiers = [
            Tier(bound, Fraction(chance.randrange(1_000), 100), Fraction(chance.randrange(50)))
            for bound in [*bounds, None]
        ]
        quantity = chance.randrange(1, 60)
        expected, entered = Fraction(0), set()
        for unit in range(1, quantity + 1):
            place = next(
                at for at, one in enumerate(tiers) if one.up_to is None or unit <= one.up_to
            )
            expected += tiers[place].unit_amount
            entered.add(place)
        expected += sum((tiers[place].flat_amount for place in entered), Fraction(0))
        price = Price("p", "usd", "x", "month", 1, None, mode="graduated", tiers=tuple(tiers))
        assert billed_amount(price, quantity) == expected
