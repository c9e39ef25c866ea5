"""The rules of subscriptions alone: random companies that are right, and one fact changed in them.

What is right is worked out here from monthly values that are written down, never by the rules.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from growth_pipeline.audit.codes import Severity
from growth_pipeline.audit.parts.subscription_sides import (
    BilledItem,
    Entitlement,
    Pair,
    State,
    Subscribed,
)
from growth_pipeline.audit.parts.subscription_states import state_of_object
from growth_pipeline.audit.parts.subscriptions import Diagnosis, judge, surplus_subscriptions
from growth_pipeline.billing.subscription_terms import Catalogue
from growth_pipeline_tests.audit.company import AS_OF, NOON, VERSION, epoch
from growth_pipeline_tests.audit.subscribers import a_price, a_subscription, an_item

AT = epoch(AS_OF)
HOUR = 3600
COUPONS = {
    "HALF": {"id": "HALF", "duration": "forever", "percent_off": 50.0},
    "ONCE": {"id": "ONCE", "duration": "once", "percent_off": 90.0},
    "FIVE": {
        "id": "FIVE",
        "duration": "forever",
        "percent_off": None,
        "amount_off": 500,
        "currency": "usd",
    },
}
# Amount, interval, count, and what one unit is worth a month, minor units.
PRICES = [
    (2_000, "month", 1, 2_000),
    (24_000, "year", 1, 2_000),
    (6_000, "month", 3, 2_000),
    (300, "week", 1, 1_300),
]


@dataclass(frozen=True)
class Right:
    """A subscription on all sides as they should be, and its monthly value before its status."""

    pair: Pair
    monthly: int


def a_right_pair(chance: random.Random) -> Right:
    amount, interval, count, unit = chance.choice(PRICES)
    quantity = chance.randint(1, 9)
    coupon = chance.choice([None, None, "HALF", "ONCE", "FIVE"])
    price = a_price(amount=amount, interval=interval, interval_count=count)
    begun = NOON + timedelta(seconds=chance.randrange(10 * 86_400))
    status = chance.choice(["active", "active", "trialing", "past_due", "canceled", "paused"])
    raw = a_subscription(
        1,
        an_item(1, price, quantity, current_period_start=epoch(begun)),
        status=status,
        created=epoch(begun),
        discounts=[] if coupon is None else [a_discount(coupon)],
    )
    state = state_of_object(raw, VERSION, Catalogue(coupons=COUPONS), seen_from=AT)
    monthly = unit * quantity
    if coupon == "HALF":
        monthly //= 2
    if coupon == "FIVE":
        # 5.00 off each bill; a bill of a week comes 52 times a year.
        bills = {"month": 1 / count, "year": 1 / 12, "week": 52 / 12}[interval]
        monthly = max(0, round(monthly - 500 * bills))
    pays = status in {"active", "past_due"}
    row = Entitlement(
        id=1,
        subscription_id="sub_1",
        customer_id="cus_1",
        user_id="user_1",
        has_access=status in {"active", "trialing", "past_due"},
        price_id="price_pro",
        quantity=quantity,
        access_ends_at=state.items[0].period_end,
        mrr_minor=monthly if pays else 0,
        currency="usd",
        written_by="application",
        written_at=epoch(begun),
    )
    pair = Pair(state, state, row, AT, is_told=True, tolerance=HOUR, is_paid=True)
    return Right(pair, monthly)


def a_discount(coupon: str) -> dict[str, Any]:
    source = {"type": "coupon", "coupon": coupon}
    return {"id": "di_1", "start": epoch(NOON), "end": None, "source": source}


def an_item_of(state: State, **changes: Any) -> State:
    (item,) = state.items
    changed: BilledItem = replace(item, **changes)
    return replace(state, items=(changed,))


def row(right: Right, **changes: Any) -> Pair:
    assert right.pair.entitlement is not None
    return replace(right.pair, entitlement=replace(right.pair.entitlement, **changes))


def mirror(right: Right, change: Callable[[State], State | None]) -> Pair:
    assert right.pair.mirror is not None
    return replace(right.pair, mirror=change(right.pair.mirror))


def diagnosed(pair: Pair) -> Diagnosis:
    found = judge(pair)
    assert found is not None
    return found


def test_companies_that_are_right_raise_no_alarm(seed):
    chance = random.Random(seed)
    for _ in range(2_000):
        right = a_right_pair(chance)
        assert judge(right.pair) is None, right.pair


def test_one_changed_fact_gives_its_class_and_its_money(seed):
    chance = random.Random(seed)
    for _ in range(500):
        right = a_right_pair(chance)
        stripe = right.pair.stripe
        if stripe is None or stripe.status != "active" or not right.monthly:
            continue
        monthly, usd = right.monthly, {"usd": right.monthly}
        lost = {"usd": -monthly}
        end = stripe.items[0].period_end
        renewed = an_item_of(stripe, period_end=end + 86_400)
        cases: list[tuple[Pair, str, dict[str, int]]] = [
            (mirror(right, lambda _: None), "subscription_missing", lost),
            (replace(right.pair, stripe=None), "subscription_missing", usd),
            (mirror(right, lambda m: replace(m, status="past_due")), "subscription_status", {}),
            (row(right, has_access=False), "paid_not_provisioned", {}),
            (replace(right.pair, entitlement=None), "paid_not_provisioned", {}),
            (row(right, access_ends_at=end + HOUR + 1), "period_mismatch", {}),
            (row(right, access_ends_at=end - HOUR - 1), "period_mismatch", {}),
            (row(right, mrr_minor=monthly + 7), "mrr_drift", {"usd": 7}),
            (replace(right.pair, mirror=renewed), "period_mismatch", {}),
            (replace(right.pair, doubled=("sub_0",)), "duplicate_subscription", usd),
        ]
        for pair, code, impacts in cases:
            found = diagnosed(pair)
            assert (found.code, found.impacts) == (code, {k: v for k, v in impacts.items() if v})


def test_nothing_is_said_about_access_while_the_application_is_silent(seed):
    chance = random.Random(seed)
    for _ in range(200):
        right = a_right_pair(chance)
        assert judge(replace(right.pair, entitlement=None, is_told=False)) is None


def test_of_many_subscriptions_all_but_the_oldest_are_surplus(seed):
    chance = random.Random(seed)
    products = ["prod_a", "prod_b", "prod_c"]
    some = [
        Subscribed(
            f"sub_{number}",
            f"cus_{chance.randrange(8)}",
            epoch(NOON) + chance.randrange(50),
            frozenset(chance.sample(products, chance.randint(0, 2))),
        )
        for number in range(60)
    ]
    chance.shuffle(some)
    expected: dict[str, list[str]] = {}
    for one in some:
        older = [
            (other.created, other.id)
            for other in some
            if other.customer == one.customer
            and other.products & one.products
            and (other.created, other.id) < (one.created, one.id)
        ]
        if older:
            expected[one.id] = [key for _, key in sorted(older)]
    found = {key: [one.id for one in older] for key, older in surplus_subscriptions(some).items()}
    assert found.keys() == expected.keys()
    # Of a crowd only the oldest few are told, per product.
    assert all(set(older) <= set(expected[key]) for key, older in found.items())
    assert all(older[0] == expected[key][0] for key, older in found.items())


def test_a_class_that_comes_first_hides_no_worse_one_and_no_money(seed):
    """Written by hand: (what is changed, classes, severity, impact)."""
    chance = random.Random(seed)
    right = a_right_pair(chance)
    while right.pair.stripe is None or right.pair.stripe.status != "active" or right.monthly < 100:
        right = a_right_pair(chance)
    monthly, usd = right.monthly, {"usd": right.monthly}
    end = right.pair.stripe.items[0].period_end
    doubled = replace(right.pair, doubled=("sub_0",))
    without_access = replace(doubled, entitlement=None)
    late = row(right, access_ends_at=end + HOUR + 1)
    drifted = row(right, access_ends_at=end + HOUR + 1, mrr_minor=monthly + 7)
    cases = [
        (doubled, ("duplicate_subscription",), Severity.MEDIUM, usd),
        (
            without_access,
            ("duplicate_subscription", "paid_not_provisioned"),
            Severity.HIGH,
            usd,
        ),
        (late, ("period_mismatch",), Severity.MEDIUM, {}),
        (drifted, ("period_mismatch", "mrr_drift"), Severity.HIGH, {"usd": 7}),
    ]
    for pair, codes, severity, impacts in cases:
        found = diagnosed(pair)
        assert (found.codes, found.severity, found.impacts) == (codes, severity, impacts)
