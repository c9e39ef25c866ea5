"""Which state of a subscription holds at an instant."""

from __future__ import annotations

from fractions import Fraction

import pytest

from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.core.recurring import Item, Price, Subscription
from growth_pipeline.revenue.history import SubscriptionHistory, SubscriptionState
from growth_pipeline.revenue.policies import PRESETS


def a_state(start, end, minor=1000, *, sub="sub_1", customer="cus_1", status="active"):
    price = Price("price_1", "usd", None, "month", 1, Fraction(minor))
    terms = Subscription(status, "usd", (Item("si_1", price),))
    return SubscriptionState(sub, customer, start, end, terms)


def mrr_at(history, at):
    found = history.customers_at(at, PRESETS["growth"])
    return {one.customer_id: one.minor for one in found}


def test_a_state_holds_from_its_start_up_to_its_end():
    history = SubscriptionHistory(
        [a_state(200, None, 3000), a_state(100, 150, 1000), a_state(120, None, 50, sub="sub_2")]
    )
    assert mrr_at(history, 99) == {}
    assert mrr_at(history, 100) == {"cus_1": 1000}
    assert mrr_at(history, 149) == {"cus_1": 1050}
    assert mrr_at(history, 150) == {"cus_1": 50}
    assert mrr_at(history, 200) == {"cus_1": 3050}


def test_a_state_without_length_never_holds():
    history = SubscriptionHistory([a_state(100, 100, 1000), a_state(100, None, 2000)])
    assert mrr_at(history, 100) == {"cus_1": 2000}


def test_history_that_contradicts_itself_is_refused():
    with pytest.raises(UnknownValueError, match="two states at 120"):
        SubscriptionHistory([a_state(100, 130), a_state(120, None)])
    with pytest.raises(UnknownValueError, match="two states at 120"):
        SubscriptionHistory([a_state(100, None), a_state(120, None)])
    with pytest.raises(UnknownValueError, match="two customers"):
        SubscriptionHistory([a_state(100, 110), a_state(120, None, customer="cus_2")])
    with pytest.raises(UnknownValueError, match="ends before"):
        SubscriptionHistory([a_state(100, 90)])
