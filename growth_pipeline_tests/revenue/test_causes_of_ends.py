"""Ends of MRR whose cause, or amount up to the end, is easily taken for another."""

import pytest

from growth_pipeline.core.ids import Scope
from growth_pipeline.revenue.history_store import HistoryStore
from growth_pipeline.revenue.policies import PRESETS
from growth_pipeline.revenue.spells import mrr_at, spells_of
from growth_pipeline_tests.fakes.stripe_events import NOON, a_customer, a_subscription, an_event
from growth_pipeline_tests.revenue.test_history_store import (
    DAY,
    TOLD,
    a_coupon,
    a_discount,
    receive,
)


def spells(database, preset):
    states = list(HistoryStore(database, Scope("self", False)).read_states())
    return spells_of(states, PRESETS[preset])


@pytest.mark.parametrize(
    ("why", "cause"),
    [("pause_requested", "paused"), ("trial_end_without_payment_method", "delinquent")],
)
def test_a_pause_that_the_customer_asked_for_is_no_churn(database, why, cause):
    details = {"paused": {"type": "subscription", "subscription": {"type": why}}}
    paused = a_subscription(status="paused", status_details=details)
    receive(
        database,
        an_event(TOLD, a_subscription(), id="evt_1"),
        an_event(TOLD, paused, id="evt_2", created=NOON + 5 * DAY),
    )
    (spell,) = spells(database, "growth")
    assert (spell.until_at, spell.ends_by) == (NOON + 5 * DAY, cause)


def test_a_discount_that_goes_with_its_customer_lowers_what_was_paid_for_up_to_the_end(database):
    ended = NOON + 10 * DAY
    reason = {"reason": "cancellation_requested"}
    over = {"status": "canceled", "ended_at": ended, "canceled_at": ended}
    customer = a_customer(discount=a_discount("co_1"))
    receive(
        database,
        an_event("coupon.created", a_coupon(20), id="evt_coupon"),
        an_event("customer.updated", customer, id="evt_customer"),
        an_event(TOLD, a_subscription(), id="evt_1"),
        an_event(
            "customer.subscription.deleted",
            a_subscription(cancellation_details=reason, **over),
            id="evt_2",
            created=ended,
        ),
        an_event("customer.deleted", customer, id="evt_3", created=ended),
    )
    found = spells(database, "profitwell")
    # 10.00 less 20 %, paid up to the end of the period.
    worth = [list(mrr_at(found, NOON + day * DAY).values()) for day in (9, 11)]
    assert worth == [[800], [800]]
    assert found[-1].ends_by == "voluntary"
