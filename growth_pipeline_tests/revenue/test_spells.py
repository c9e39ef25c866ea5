"""Spells of MRR, each case worked by hand. Day 0 is the start of the subscription; amounts in cents."""

from dataclasses import replace
from fractions import Fraction

import pytest

from growth_pipeline.core.recurring import Discount, Item, Price, Subscription
from growth_pipeline.revenue.history import SubscriptionState
from growth_pipeline.revenue.policies import PRESETS
from growth_pipeline.revenue.spells import mrr_at, spells_of

DAY = 86_400
GROWTH = PRESETS["growth"]


def an_item(amount, id_="si_1", **more):
    interval, currency = more.pop("interval", "month"), more.pop("currency", "usd")
    unit = None if amount is None else Fraction(amount)
    return Item(id_, Price("price", currency, "prod", interval=interval, unit_amount=unit), **more)


def a_state(since, until=None, *items, status="active", sub="sub_1", currency="usd", **more):
    names = ("reason", "canceled_at", "cancels_at", "period_end", "told_by")
    told = {name: more.pop(name) for name in names if name in more}
    told |= {
        name: told[name] * DAY
        for name in ("canceled_at", "cancels_at", "period_end")
        if name in told
    }
    terms = Subscription(status, currency, items or (an_item(1000),), **more)
    end = None if until is None else until * DAY
    return SubscriptionState(sub, "cus_1", since * DAY, end, terms, **told)


def in_days(*states, policy=GROWTH):
    """(from day, until day, cents, cause) of each spell."""
    return [
        (
            one.from_at / DAY,
            None if one.until_at is None else one.until_at / DAY,
            one.minor,
            one.ends_by,
        )
        for one in spells_of(states, policy)
    ]


def test_a_discount_that_ends_cuts_a_spell_ahead_of_time():
    discount = Discount("repeating", Fraction(25), starts=0, ends=90 * DAY)
    assert in_days(a_state(0, None, discounts=(discount,))) == [
        (0, 90, 750, None),
        (90, None, 1000, None),
    ]


def test_past_due_ends_with_its_grace_and_comes_back_when_it_is_paid():
    late = a_state(10, None, status="past_due", past_due_since=10 * DAY)
    assert in_days(a_state(0, 10), late) == [(0, 40, 1000, "delinquent")]
    paid = a_state(60, None)
    until = replace(late, until_at=60 * DAY)
    assert in_days(a_state(0, 10), until, paid) == [
        (0, 40, 1000, "delinquent"),
        (60, None, 1000, None),
    ]
    assert in_days(a_state(0, 10), until, paid, policy=PRESETS["stripe"]) == [(0, None, 1000, None)]


@pytest.mark.parametrize(
    ("following", "cause"),
    [
        ({"status": "canceled", "reason": "cancellation_requested"}, "voluntary"),
        ({"status": "canceled", "reason": "payment_disputed"}, "dispute"),
        ({"status": "canceled", "reason": "payment_failed"}, "delinquent"),
        ({"status": "canceled", "reason": "canceled_by_retention_policy"}, "other"),
        ({"status": "canceled"}, "unknown"),
        ({"status": "unpaid"}, "delinquent"),
        ({"status": "paused"}, "delinquent"),
        ({"is_collection_paused": True}, "paused"),
    ],
)
def test_what_follows_tells_why_mrr_ends(following, cause):
    assert in_days(a_state(0, 30), a_state(30, None, **following)) == [(0, 30, 1000, cause)]


def test_trials_have_no_spell_but_under_a_policy_that_counts_them():
    states = (a_state(0, 14, status="trialing"), a_state(14, None))
    assert in_days(*states) == [(14, None, 1000, None)]
    counted = GROWTH.with_switches({"trials": "in"})
    assert in_days(*states, policy=counted) == [(0, None, 1000, None)]


def test_churn_is_at_the_end_at_the_request_or_at_the_end_of_what_was_paid():
    asked = {"canceled_at": 20, "cancels_at": 30, "reason": "cancellation_requested"}
    states = (
        a_state(0, 20),
        a_state(20, 25, period_end=30, **asked),
        a_state(25, None, status="canceled", **asked),
    )
    assert in_days(*states) == [(0, 20, 1000, None), (20, 25, 1000, "voluntary")]
    assert in_days(*states, policy=PRESETS["stripe"]) == [(0, 20, 1000, "voluntary")]
    assert in_days(*states, policy=PRESETS["profitwell"]) == [
        (0, 20, 1000, None),
        (20, 30, 1000, "voluntary"),
    ]


def test_what_a_failed_payment_ends_in_the_same_second_is_past_due_for_the_rest_of_the_period():
    ended = a_state(10, None, status="canceled", reason="payment_failed")
    # ProfitWell's grace is 15 days: it is over on day 25, before the period on day 30.
    assert in_days(a_state(0, 10, period_end=30), ended, policy=PRESETS["profitwell"]) == [
        (0, 25, 1000, "delinquent")
    ]
    assert in_days(a_state(0, 10, period_end=20), ended, policy=PRESETS["profitwell"]) == [
        (0, 20, 1000, "delinquent")
    ]


def test_a_request_that_is_taken_back_ends_nothing_for_good():
    asked = a_state(20, 25, canceled_at=20, cancels_at=30)
    states = (a_state(0, 20), asked, a_state(25, None))
    assert mrr_at(spells_of(states, GROWTH), 22 * DAY) == {("", "cus_1", "usd"): 1000}
    gone = spells_of(states, PRESETS["stripe"])
    assert [mrr_at(gone, day * DAY) for day in (19, 22, 25)] == [
        {("", "cus_1", "usd"): 1000},
        {},
        {("", "cus_1", "usd"): 1000},
    ]


def test_a_cancellation_is_set_from_when_it_was_asked_for():
    told_late = a_state(0, None, canceled_at=20, cancels_at=30)
    spells = spells_of([told_late], GROWTH)
    assert [(one.from_at / DAY, one.cancels_at) for one in spells] == [(0, None), (20, 30 * DAY)]


def test_a_customer_is_rounded_once_and_its_items_share_that():
    third = Fraction(100, 3)
    items = [an_item(third, f"si_{n}") for n in range(3)]
    other = a_state(10, 20, an_item(Fraction(1, 2), "si_9"), sub="sub_2")
    found = spells_of([a_state(0, None, *items), other], GROWTH)
    shares = {}
    for one in sorted(found, key=lambda one: one.item.id):
        for day in (5, 15, 25):
            if one.from_at <= day * DAY and (one.until_at is None or day * DAY < one.until_at):
                shares.setdefault(day, []).append(one.minor)
    # 100 in all; with half a cent more 100.5, to even 100. Of it 33.17 for each and 0.4975 for the
    # fourth, whose remainder is the largest.
    assert shares == {5: [34, 33, 33], 15: [33, 33, 33, 1], 25: [34, 33, 33]}
    alone = spells_of(
        [a_state(0, None, *items), other], GROWTH.with_switches({"level": "subscription"})
    )
    assert sum(one.minor for one in alone if one.until_at is None) == 100


def test_an_unknown_price_makes_the_customer_unknown_not_zero():
    states = [a_state(0, None), a_state(5, 9, an_item(None, "si_2"), sub="sub_2")]
    found = spells_of(states, GROWTH)
    assert mrr_at(found, 4 * DAY) == {("", "cus_1", "usd"): 1000}
    assert mrr_at(found, 6 * DAY) == {("", "cus_1", "usd"): None}
    assert mrr_at(found, 9 * DAY) == {("", "cus_1", "usd"): 1000}


def test_two_currencies_are_two_sums_and_a_free_plan_is_a_spell_of_nothing():
    euro = a_state(0, None, an_item(700, "si_2", currency="eur"), sub="sub_2", currency="eur")
    free = a_state(0, None, an_item(0, "si_3"), sub="sub_3")
    found = spells_of([a_state(0, None), euro, free], GROWTH)
    assert mrr_at(found, DAY) == {("", "cus_1", "usd"): 1000, ("", "cus_1", "eur"): 700}
    assert [one.minor for one in found if one.subscription_id == "sub_3"] == [0]


def test_a_renewal_that_changes_nothing_is_one_spell():
    states = [a_state(0, 30, told_by="evt_1"), a_state(30, None, told_by="evt_2")]
    assert [(one.from_at, one.until_at, one.told_by) for one in spells_of(states, GROWTH)] == [
        (0, None, "evt_1")
    ]


def test_a_state_that_is_over_in_the_second_it_begins_is_no_spell():
    # Else two spells of one item would begin at once, and only one of them could be published.
    states = (a_state(0, 10), a_state(10, 10, an_item(7)), a_state(10, None, an_item(500)))
    assert in_days(*states) == [(0, 10, 1000, None), (10, None, 500, None)]


def test_no_state_no_spell():
    assert spells_of([], GROWTH) == []
    assert spells_of([a_state(0, None, status="incomplete")], GROWTH) == []
