"""Whether Stripe says what a billing event says: each assertion agreed, contradicted, left in doubt."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from growth_pipeline.events.assertions.compare import (
    _RULES,
    Answer,
    Code,
    Doubt,
    Finding,
    Known,
    Told,
    judge,
)
from growth_pipeline.events.assertions.facts import Charge, Facts, State
from growth_pipeline.events.catalogue.model import Assertion
from growth_pipeline.events.catalogue.registry import ASSERTIONS, versions_of

NOON = datetime(2030, 1, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
KNOWN = Known(NOON - 100 * DAY, NOON + 100 * DAY)


def told(event: str, *, at: datetime = NOON, user_id: str | None = "user_1", **given: Any) -> Told:
    """An event as its example has it, with the given properties."""
    return Told("m_1", event, user_id, at, versions_of(event)[0].example() | given)


def state(at: datetime, *, price: str = "price_pro", **fields: Any) -> State:
    whole = {
        "status": "active",
        "is_paused": False,
        "prices": frozenset({(price, 5)}),
        "begins": (NOON - 30 * DAY,),
    }
    return State(at, at, **(whole | fields))


def subscription(*states: State, customer: str | None = "cus_1") -> Facts:
    return Facts(customer, "active", states=states)


def ask(one: Told, facts: Facts | None, known: Known = KNOWN, **more: Any) -> Answer:
    return judge(one, facts, known, **more)


def code_of(answer: Answer) -> Code:
    assert isinstance(answer, Finding), answer
    return answer.code


UPGRADED = told("Subscription Upgraded", to_price_id="price_team", quantity=None)
BORN = state(NOON - 30 * DAY)


def test_every_assertion_has_a_rule():
    assert set(_RULES) == set(Assertion) == set(ASSERTIONS.values())


# --- changes of price ------------------------------------------------------------------------------


@pytest.mark.parametrize("later", [-DAY, timedelta(0), DAY])
def test_an_upgrade_that_stripe_saw_within_a_day_agrees(later):
    facts = subscription(BORN, state(NOON + later, price="price_team"))
    assert ask(UPGRADED, facts) is None


def test_an_upgrade_that_stripe_never_saw_is_contradicted():
    assert code_of(ask(UPGRADED, subscription(BORN))) is Code.OTHER_STATE
    other = subscription(BORN, state(NOON, price="price_basic"))
    assert code_of(ask(UPGRADED, other)) is Code.OTHER_STATE


def test_an_upgrade_that_stripe_saw_two_days_later_happened_at_another_time():
    facts = subscription(
        BORN, state(NOON + 2 * DAY - SECOND), state(NOON + 2 * DAY, price="price_team")
    )
    assert code_of(ask(UPGRADED, facts)) is Code.OTHER_TIME


def test_a_change_between_two_sightings_may_have_been_at_any_instant_between_them():
    before = State(NOON - 9 * DAY, NOON - 9 * DAY, "active", False, frozenset({("price_pro", 5)}))
    facts = subscription(BORN, before, state(NOON + 9 * DAY, price="price_team"))
    assert ask(UPGRADED, facts) is None


def test_an_upgrade_to_the_price_that_it_had_all_along_is_contradicted():
    facts = subscription(state(NOON - 30 * DAY, price="price_team"))
    assert code_of(ask(UPGRADED, facts)) is Code.OTHER_STATE


def test_an_upgrade_that_was_taken_back_before_the_mirror_looked_again_still_agrees():
    facts = subscription(BORN, state(NOON, price="price_team"), state(NOON + 3 * DAY))
    assert ask(UPGRADED, facts) is None


@pytest.mark.parametrize("order", [1, -1])
def test_states_of_one_second_may_have_been_in_either_order(order):
    told_in_one_second = [state(NOON), state(NOON, price="price_team")][::order]
    assert ask(UPGRADED, subscription(*told_in_one_second)) is None


def test_a_price_that_stays_is_one_change():
    team = [state(NOON + day * DAY, price="price_team") for day in (-9, -1, 0, 1)]
    assert code_of(ask(UPGRADED, subscription(BORN, *team))) is Code.OTHER_TIME


def test_the_quantity_counts_where_the_event_tells_it():
    seats = told("Subscription Upgraded", to_price_id="price_pro", quantity=9)
    grown = subscription(BORN, state(NOON, prices=frozenset({("price_pro", 9)})))
    assert ask(seats, grown) is None
    assert code_of(ask(seats, subscription(BORN, state(NOON)))) is Code.OTHER_STATE


def test_more_seats_at_the_same_price_are_an_upgrade_whose_number_need_not_be_told():
    grown = told("Subscription Upgraded", to_price_id="price_pro", quantity=None)
    facts = subscription(BORN, state(NOON, prices=frozenset({("price_pro", 9)})))
    assert ask(grown, facts) is None
    late = subscription(
        BORN, state(NOON + 4 * DAY), state(NOON + 5 * DAY, prices=frozenset({("price_pro", 9)}))
    )
    assert code_of(ask(grown, late)) is Code.OTHER_TIME
    assert code_of(ask(grown, subscription(BORN, state(NOON)))) is Code.OTHER_STATE


def test_a_downgrade_is_a_change_of_price_too():
    lower = told("Subscription Downgraded", to_price_id="price_basic", quantity=None)
    assert ask(lower, subscription(BORN, state(NOON, price="price_basic"))) is None
    assert code_of(ask(lower, subscription(BORN))) is Code.OTHER_STATE


def test_what_the_mirror_first_saw_after_the_event_is_in_doubt():
    facts = subscription(state(NOON + 5 * DAY, price="price_pro"))
    assert ask(UPGRADED, facts) is Doubt.BEFORE_THE_MIRROR


def test_a_history_that_reaches_back_to_the_start_is_no_doubt():
    born = state(NOON, begins=(NOON,))
    assert code_of(ask(UPGRADED, subscription(born))) is Code.OTHER_STATE


def test_items_that_stripe_did_not_show_may_have_had_the_price():
    facts = subscription(BORN, state(NOON, is_partial=True))
    assert ask(UPGRADED, facts) is Doubt.BEFORE_THE_MIRROR


def test_a_subscription_without_a_readable_state_is_in_doubt():
    assert ask(UPGRADED, subscription()) is Doubt.BEFORE_THE_MIRROR


# --- starts, trials, ends, pauses ------------------------------------------------------------------


def test_a_start_agrees_with_its_instant_at_stripe():
    started = told("Subscription Started", price_id="price_pro", quantity=5)
    assert ask(started, subscription(state(NOON, begins=(NOON + DAY,)))) is None
    late = subscription(state(NOON, begins=(NOON + DAY + SECOND,)))
    assert code_of(ask(started, late)) is Code.OTHER_TIME


def test_a_trial_that_became_paid_is_a_start_at_its_end():
    started = told("Subscription Started", price_id="price_pro", quantity=None)
    facts = subscription(state(NOON - 14 * DAY, begins=(NOON - 14 * DAY, NOON)))
    assert ask(started, facts) is None


@pytest.mark.parametrize("status", ["incomplete", "incomplete_expired"])
def test_a_subscription_whose_first_payment_failed_never_started(status):
    started = told("Subscription Started", price_id="price_pro", quantity=None)
    facts = subscription(state(NOON, status=status, begins=(NOON,)))
    assert code_of(ask(started, facts)) is Code.OTHER_STATE


def test_a_start_with_another_price_is_contradicted():
    started = told("Subscription Started", price_id="price_team", quantity=None)
    facts = subscription(state(NOON, begins=(NOON,)))
    assert code_of(ask(started, facts)) is Code.OTHER_STATE


def test_a_trial_is_compared_by_its_start():
    trial = told("Trial Started")
    assert ask(trial, subscription(state(NOON, trial_start=NOON - DAY))) is None
    early = subscription(state(NOON, trial_start=NOON - 3 * DAY))
    assert code_of(ask(trial, early)) is Code.OTHER_TIME
    assert code_of(ask(trial, subscription(BORN, state(NOON)))) is Code.OTHER_STATE


def test_a_cancellation_agrees_with_the_request_or_the_end():
    canceled = told("Subscription Canceled")
    assert ask(canceled, subscription(BORN, state(NOON, ends=(NOON, NOON + 20 * DAY)))) is None
    assert code_of(ask(canceled, subscription(BORN, state(NOON)))) is Code.OTHER_STATE
    late = subscription(BORN, state(NOON + 9 * DAY, ends=(NOON + 9 * DAY,)))
    assert code_of(ask(canceled, late)) is Code.OTHER_TIME


def test_a_date_set_for_the_end_is_a_cancellation_when_it_was_set():
    canceled = told("Subscription Canceled")
    assert ask(canceled, subscription(BORN, state(NOON, is_ending=True))) is None
    late = subscription(BORN, state(NOON + 3 * DAY), state(NOON + 4 * DAY, is_ending=True))
    assert code_of(ask(canceled, late)) is Code.OTHER_TIME


def test_a_cancellation_that_was_taken_back_before_the_mirror_looked_is_in_doubt():
    """Stripe keeps the instant of the newest request only."""
    again = subscription(state(NOON + 50 * DAY, ends=(NOON + 50 * DAY,)))
    assert ask(told("Subscription Canceled"), again) is Doubt.BEFORE_THE_MIRROR


def test_pauses_and_what_ends_them_are_compared_with_the_change():
    paused, resumed = told("Subscription Paused"), told("Subscription Resumed")
    facts = subscription(BORN, state(NOON, is_paused=True))
    assert ask(paused, facts) is None
    assert code_of(ask(resumed, facts)) is Code.OTHER_STATE
    again = subscription(BORN, state(NOON - 9 * DAY, is_paused=True), state(NOON))
    assert ask(resumed, again) is None
    assert code_of(ask(paused, again)) is Code.OTHER_TIME


# --- payments, refunds, what only has to exist -----------------------------------------------------

PAID = told("Payment Succeeded", amount_minor=4900, currency="eur")
SETTLED = Charge(True, False, 4900, "eur")
DECLINED = Charge(False, True, 0, "eur")


def test_a_payment_agrees_with_any_settled_charge_of_its_intent():
    assert ask(PAID, Facts("cus_1", "succeeded", charges=(DECLINED, SETTLED))) is None


@pytest.mark.parametrize("charges", [(), (DECLINED,), (Charge(False, False, 4900, "eur"),)])
def test_a_payment_without_a_settled_charge_is_contradicted(charges):
    assert code_of(ask(PAID, Facts("cus_1", "processing", charges=charges))) is Code.OTHER_STATE


@pytest.mark.parametrize("charge", [(True, False, 4901, "eur"), (True, False, 4900, "usd")])
def test_a_payment_of_another_amount_or_currency_is_contradicted(charge):
    answer = ask(PAID, Facts("cus_1", "succeeded", charges=(Charge(*charge),)))
    assert code_of(answer) is Code.OTHER_AMOUNT


def test_a_failed_payment_agrees_with_a_failed_charge_or_an_intent_that_waits_for_another():
    failed = told("Payment Failed")
    assert ask(failed, Facts("cus_1", "succeeded", charges=(DECLINED, SETTLED))) is None
    assert ask(failed, Facts("cus_1", "requires_payment_method")) is None
    answer = ask(failed, Facts("cus_1", "succeeded", charges=(SETTLED,)))
    assert code_of(answer) is Code.OTHER_STATE


def test_a_payment_whose_authentication_failed_has_no_charge_and_failed_all_the_same():
    failed = told("Payment Failed")
    assert ask(failed, Facts("cus_1", "succeeded", charges=(SETTLED,), has_failed=True)) is None


@pytest.mark.parametrize("currency", ["EUR", "Eur"])
def test_a_currency_in_capitals_is_the_same_currency(currency):
    paid = told("Payment Succeeded", amount_minor=4900, currency=currency)
    assert ask(paid, Facts("cus_1", "succeeded", charges=(SETTLED,))) is None


def test_a_refund_agrees_when_it_was_made_with_that_amount():
    refunded = told("Payment Refunded", amount_minor=400, currency="eur")
    assert ask(refunded, Facts("cus_1", "pending", 400, "eur")) is None
    assert code_of(ask(refunded, Facts("cus_1", "succeeded", 401, "eur"))) is Code.OTHER_AMOUNT
    assert code_of(ask(refunded, Facts("cus_1", "failed", 400, "eur"))) is Code.OTHER_STATE


@pytest.mark.parametrize("event", ["Checkout Started", "Payment Method Added"])
def test_what_only_has_to_exist_agrees_when_it_does(event):
    assert ask(told(event), Facts("cus_1")) is None


def test_a_missing_payment_method_says_nothing_since_no_event_tells_of_new_ones():
    assert ask(told("Payment Method Added"), None) is Doubt.NOT_FOLLOWED


def test_a_checkout_session_is_given_two_days_to_end_or_to_be_listed():
    opened, at = told("Checkout Started"), NOON + 2 * DAY
    assert ask(opened, None, Known(NOON - DAY, at - SECOND)) is Doubt.TOO_YOUNG
    assert code_of(ask(opened, None, Known(NOON - DAY, at))) is Code.OBJECT_UNKNOWN


# --- whose it is, and what the mirror cannot know --------------------------------------------------


def test_an_object_of_another_customer_is_contradicted_even_if_all_else_agrees():
    facts = Facts("cus_2", "succeeded", charges=(SETTLED,))
    assert code_of(ask(PAID, facts, customers=["cus_1", "cus_3"])) is Code.OTHER_CUSTOMER
    assert ask(PAID, facts, customers=["cus_1", "cus_2"]) is None


def test_a_customer_that_the_application_has_not_told_of_yet_is_too_young():
    facts = Facts("cus_2", "succeeded", charges=(SETTLED,))
    known = Known(NOON - DAY, NOON + timedelta(minutes=59))
    assert ask(PAID, facts, known, customers=["cus_1"]) is Doubt.TOO_YOUNG


def test_an_event_of_which_nobody_knows_when_it_happened_did_not_happen_at_another_time():
    late = subscription(BORN, state(NOON + 9 * DAY, ends=(NOON + 9 * DAY,)))
    canceled = dataclasses.replace(told("Subscription Canceled"), has_time=False)
    assert ask(canceled, late) is Doubt.TIME_UNKNOWN
    assert code_of(ask(canceled, subscription(BORN, state(NOON)))) is Code.OTHER_STATE


def test_unknown_customers_contradict_nothing():
    assert ask(PAID, Facts("cus_2", charges=(SETTLED,)), customers=[]) is None
    assert ask(PAID, Facts(None, charges=(SETTLED,)), customers=["cus_1"]) is None


FOLLOWED = [event for event in ASSERTIONS if event != "Payment Method Added"]


@pytest.mark.parametrize("event", FOLLOWED)
def test_an_object_that_the_mirror_does_not_have_is_contradicted_for_every_event(event):
    answer = ask(told(event), None)
    assert code_of(answer) is Code.OBJECT_UNKNOWN


@pytest.mark.parametrize("event", [one for one in FOLLOWED if one != "Checkout Started"])
def test_an_event_of_the_last_hour_before_the_mirrors_instant_is_too_young(event):
    as_of = NOON + timedelta(hours=1)
    assert code_of(ask(told(event), None, Known(NOON - DAY, as_of))) is Code.OBJECT_UNKNOWN
    assert ask(told(event), None, Known(NOON - DAY, as_of - SECOND)) is Doubt.TOO_YOUNG


def test_a_young_event_that_stripe_agrees_with_needs_no_patience():
    facts = Facts("cus_1", "succeeded", charges=(SETTLED,))
    assert ask(PAID, facts, Known(NOON - DAY, NOON)) is None


def test_an_unknown_object_of_before_the_mirror_is_in_doubt():
    known = Known(NOON + SECOND, NOON + DAY)
    assert ask(PAID, None, known) is Doubt.BEFORE_THE_MIRROR
    assert code_of(ask(PAID, None, Known(NOON, NOON + DAY))) is Code.OBJECT_UNKNOWN


def test_an_empty_mirror_says_nothing():
    assert ask(PAID, None, Known(None, None)) is Doubt.MIRROR_IS_EMPTY


@pytest.mark.parametrize("id", [None, "", 7, ["pi_1"]])
def test_an_event_without_a_usable_id_is_in_doubt(id):
    bad = Told("m_1", "Payment Succeeded", "user_1", NOON, {"payment_intent_id": id})
    assert ask(bad, None) is Doubt.NO_REFERENCE


# --- what a finding says ---------------------------------------------------------------------------


def test_a_finding_says_both_sides_and_no_personal_data():
    canceled = told("Subscription Canceled", comment="my name is Zoe", note="call 555")
    answer = ask(canceled, subscription(BORN))
    assert isinstance(answer, Finding)
    shown = answer.to_dict()
    assert shown["said"] == {
        "subscription_id": "sub_1RAda7",
        "effective": "period_end",
        "feedback": "too_expensive",
    }
    assert shown["stripe"]["states"] == [
        {
            "seen_at": "2029-12-11T12:00:00+00:00",
            "status": "active",
            "paused": False,
            "ending": False,
            "prices": [{"price": "price_pro", "quantity": 5}],
        }
    ]
    assert (shown["severity"], shown["object"]) == ("MEDIUM", "subscription")
    assert "Zoe" not in str(shown)
    assert "555" not in str(shown)


def test_the_same_finding_has_the_same_name_and_another_event_another():
    first, again = ask(PAID, None), ask(PAID, None)
    other = ask(Told("m_2", PAID.event, None, NOON, PAID.properties), None)
    assert isinstance(first, Finding)
    assert isinstance(again, Finding)
    assert isinstance(other, Finding)
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_only_a_difference_of_time_alone_is_low():
    late = subscription(BORN, state(NOON + 9 * DAY, ends=(NOON + 9 * DAY,)))
    answer = ask(told("Subscription Canceled"), late)
    assert isinstance(answer, Finding)
    assert answer.severity == "LOW"
