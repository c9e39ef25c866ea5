"""The walk between two policies: cases by hand, and any two policies over random customers."""

import random
from dataclasses import replace
from fractions import Fraction

import pytest

from growth_pipeline.core.recurring import Discount, Item, Price, Subscription
from growth_pipeline.revenue.bridge.faces import BridgeAnswer
from growth_pipeline.revenue.bridge.walk import ORDER, path, walk
from growth_pipeline.revenue.history import SubscriptionState
from growth_pipeline.revenue.policies import PRESETS, SWITCHES

DAY = 86_400
GROWTH, STRIPE, PROFITWELL = PRESETS["growth"], PRESETS["stripe"], PRESETS["profitwell"]
END = 1_000 * DAY


def a_state(customer, amount, *, status="active", since=0, until=None, currency="usd", **more):
    interval = more.pop("interval", "month")
    price = Price("price_1", currency, "prod_1", interval=interval, unit_amount=amount)
    told = {name: more.pop(name) for name in ("canceled_at", "cancels_at") if name in more}
    terms = Subscription(status, currency, (Item(f"si_{customer}", price),), **more)
    return SubscriptionState(
        f"sub_{customer}", customer, since, until, terms, account_id="self", told_by="evt", **told
    )


def bridge(states, before, after):
    customers = {}
    for state in states:
        customers.setdefault(("self", state.customer_id), []).append(state)
    return walk(customers.items(), before, after, instant=lambda _: END)


def test_each_difference_between_two_presets_is_named_with_its_amount():
    once = Discount("once", Fraction(50), starts=0)
    states = [
        a_state("plain", Fraction(1000)),
        # Asked to be cancelled ten days ago, runs on: Stripe's rule counts it as gone.
        a_state("leaving", Fraction(2000), canceled_at=END - 10 * DAY, cancels_at=END + 20 * DAY),
        # Past due for 40 days: beyond our grace of 30, not beyond Stripe's.
        a_state("late", Fraction(4000), status="past_due", past_due_since=END - 40 * DAY),
        # A coupon for one bill: ProfitWell's rule takes it off, ours does not.
        a_state("gift", Fraction(8000), discounts=(once,)),
    ]
    found = bridge(states, STRIPE, GROWTH)
    assert dict(found.start) == {"usd": 1000 + 4000 + 8000}
    assert dict(found.end) == {"usd": 1000 + 2000 + 8000}
    moved = {step.switch: dict(step.amounts) for step in found.steps if step.amounts}
    assert moved == {"churn_at": {"usd": 2000}, "past_due_grace_days": {"usd": -4000}}
    assert {one.customer_id: dict(one.moved) for one in found.customers} == {
        "leaving": {"churn_at": 2000},
        "late": {"past_due_grace_days": -4000},
    }
    assert found.remainder() == {"usd": 0}
    other = bridge(states, GROWTH, PROFITWELL)
    assert {step.switch: dict(step.amounts) for step in other.steps if step.amounts} == {
        "discounts": {"usd": -4000}
    }


def test_a_customer_of_unknown_price_is_named_and_in_no_amount():
    found = bridge([a_state("odd", None), a_state("even", Fraction(500))], STRIPE, GROWTH)
    assert found.unknown == (("self", "odd", "usd"),)
    assert dict(found.end) == {"usd": 500}
    answer = BridgeAnswer({"month": "2031-03", "from": "stripe@1", "to": "growth@1"}, found)
    assert b"1 customers with an unknown price" in answer.face("md", customers=False)


def test_the_way_changes_every_switch_on_which_mrr_depends_and_ends_at_the_other_policy():
    without_effect = {
        *("end_dates", "movements", "sign", "free_customer", "count_paused"),
        *("reactivation_window_days", "churn_denominator", "churn_window_days"),
        *("churn_window_days_yearly", "returned_members"),
    }
    assert set(ORDER) == set(SWITCHES) - without_effect
    for before in PRESETS.values():
        for after in PRESETS.values():
            last = path(before, after)[-1][1]
            assert all(getattr(last, switch) == getattr(after, switch) for switch in ORDER)


def random_policy(rng):
    mode, places = rng.choice([("exact", None), ("half_up", 0), ("half_even", 1)])
    return replace(
        GROWTH,
        trials=rng.choice(["out", "in"]),
        discounts=rng.choice(["recurring", "none", "forever", "all"]),
        customer_discounts=rng.choice(["stack", "instead"]),
        past_due_grace_days=rng.choice([None, 0, 15, 30]),
        pause_collection=rng.choice(["paused", "stays"]),
        churn_at=rng.choice(["ended_at", "cancel_request", "period_end"]),
        week_factor=rng.choice([Fraction(52, 12), Fraction("4.33"), Fraction(0)]),
        rounding=mode,
        rounding_places=places,
    )


def random_states(rng, number):
    status = rng.choice(["active", "active", "trialing", "past_due", "canceled", "unpaid"])
    discounts = [
        Discount(rng.choice(["once", "repeating", "forever"]), Fraction(rng.randrange(1, 100)))
        for _ in range(rng.randrange(3))
    ]
    canceled = END - rng.randrange(50) * DAY if rng.random() < 0.3 else None
    return a_state(
        f"cus_{number}",
        Fraction(rng.randrange(10_000), rng.choice([1, 3, 10])),
        status=status,
        currency=rng.choice(["usd", "jpy", "kwd"]),
        interval=rng.choice(["day", "week", "month", "year"]),
        is_collection_paused=rng.random() < 0.2,
        past_due_since=END - rng.randrange(60) * DAY if status == "past_due" else None,
        discounts=tuple(discounts[:1]),
        customer_discounts=tuple(discounts[1:]),
        canceled_at=canceled,
        cancels_at=None if canceled is None else END + 5 * DAY,
    )


@pytest.mark.parametrize("number", range(20))
def test_nothing_is_left_over_in_total_and_for_each_customer(seed, number):
    rng = random.Random(seed * 100 + number)
    states = [random_states(rng, one) for one in range(30)]
    before, after = random_policy(rng), random_policy(rng)
    there, back = bridge(states, before, after), bridge(states, after, before)
    assert set(there.remainder().values()) <= {0}
    assert (there.start, there.end) == (back.end, back.start)
    for one in there.customers:
        assert one.start + sum(one.moved.values()) == one.end
    for currency in there.start:
        steps = sum(step.amounts.get(currency, 0) for step in there.steps)
        of_customers = sum(
            sum(one.moved.values()) for one in there.customers if one.currency == currency
        )
        assert steps == of_customers == there.end[currency] - there.start[currency]
