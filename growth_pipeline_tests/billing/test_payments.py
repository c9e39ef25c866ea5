"""Booked payments: expected values are worked by hand from docs/metrics.md and docs/stripe.md."""

from datetime import UTC, datetime
from itertools import permutations

import pytest

from growth_pipeline.billing.payments import (
    book_payment,
    charges_of,
    check_shape,
    disputed_minor,
    intent_of,
)
from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.stripe_api.versions import adapter_for
from growth_pipeline_tests.fakes.stripe_events import (
    NEW,
    OLD,
    a_charge,
    a_dispute,
    a_refund,
    a_subscription,
    an_invoice,
    an_invoice_payment,
)


def booked(charge, refunds=(), disputes=(), *, version=NEW, **more):
    return book_payment(charge, refunds, disputes, adapter=adapter_for(version), **more)


def an_old_charge(**fields):
    return a_charge(invoice=None, **fields)


def test_a_plain_charge_becomes_one_row():
    payment = booked(a_charge(amount=2500, amount_captured=2500, customer="cus_5"))
    assert payment.charge_id == "ch_1"
    assert payment.payment_intent_id == "pi_of_ch_1"
    assert payment.customer_id == "cus_5"
    assert (payment.amount_minor, payment.currency, payment.status) == (2500, "usd", "succeeded")
    assert (payment.refunded_minor, payment.disputed_minor) == (0, 0)
    assert payment.created_at == datetime(2030, 1, 1, 12, tzinfo=UTC)


def test_the_fee_is_unknown_until_the_balance_transaction_is():
    assert booked(a_charge(balance_transaction="txn_1")).fee_minor is None
    expanded = {"id": "txn_1", "fee": 59, "net": 941, "currency": "eur"}
    for payment in (
        booked(a_charge(balance_transaction=expanded)),
        booked(a_charge(balance_transaction="txn_1"), balance_transaction=expanded),
    ):
        assert (payment.fee_minor, payment.net_minor, payment.settlement_currency) == (
            59,
            941,
            "eur",
        )


def test_an_uncaptured_charge_shows_what_was_asked_for():
    payment = booked(a_charge(amount=3000, amount_captured=0, captured=False))
    assert (payment.captured, payment.amount_minor) == (False, 3000)


def test_a_source_without_captured_counts_as_captured():
    charge = a_charge()
    del charge["captured"]
    assert booked(charge).captured is True


def test_refunds_in_succeeded_and_pending_count_and_others_do_not():
    refunds = [
        a_refund("re_1", amount=100, status="succeeded"),
        a_refund("re_2", amount=20, status="pending"),
        a_refund("re_3", amount=300, status="failed"),
        a_refund("re_4", amount=400, status="canceled"),
        a_refund("re_5", amount=500, status="requires_action"),
        a_refund("re_6", amount=600, status="not_known_yet"),
    ]
    for order in permutations(refunds[:4]):
        assert booked(a_charge(amount_refunded=999), [*order, *refunds[4:]]).refunded_minor == 120


def test_without_refund_objects_the_charge_says_what_was_refunded():
    assert booked(a_charge(amount_refunded=250)).refunded_minor == 250


def test_a_refund_that_failed_later_is_not_booked_although_the_charge_still_says_so():
    assert booked(a_charge(amount_refunded=400), [a_refund(status="failed")]).refunded_minor == 0


@pytest.mark.parametrize(
    ("version", "charge"),
    [
        (OLD, an_old_charge(amount=3000, amount_captured=1800, amount_refunded=1200)),
        (NEW, a_charge(amount=3000, amount_captured=1800, amount_refunded=0)),
    ],
)
def test_a_partial_capture_nets_18_00_in_every_version(version, charge):
    payment = booked(charge, version=version)
    assert payment.amount_minor - payment.refunded_minor == 1800


def test_the_refund_of_an_uncaptured_rest_is_not_money_given_back():
    # Before basil: 30.00 authorised, 18.00 captured, Stripe makes a refund of 12.00; then 5.00 is
    # really given back. Refunded 5.00, whatever the order the refunds are known in.
    charge = an_old_charge(amount=3000, amount_captured=1800, amount_refunded=1700)
    release, real = a_refund("re_1", amount=1200), a_refund("re_2", amount=500)
    for refunds in ([release, real], [real, release], [real]):
        assert booked(charge, refunds, version=OLD).refunded_minor == 500


def test_a_released_authorisation_before_basil_has_no_refund():
    charge = an_old_charge(amount=3000, amount_captured=0, captured=False, amount_refunded=3000)
    assert booked(charge, [a_refund(amount=3000)], version=OLD).refunded_minor == 0


@pytest.mark.parametrize(
    ("moved", "expected"),
    [((), 0), ((-1000,), 1000), ((-1000, 1000), 0), ((-917,), 1000), ((-917, 917), 0)],
)
def test_dispute_funds_are_withdrawn_less_reinstated_in_the_dispute_s_currency(moved, expected):
    # Balance transactions are in the settlement currency (917 eur for 1000 usd), so only their sign counts.
    assert disputed_minor(a_dispute("dp_1", "ch_1", *moved)) == expected


def test_several_disputes_of_a_charge_add_up():
    disputes = [
        a_dispute("dp_1", "ch_1", -300, amount=300),
        a_dispute("dp_2", "ch_1", -200, 200, amount=200),
    ]
    assert booked(a_charge(), (), disputes).disputed_minor == 300


def test_the_invoice_comes_from_the_charge_before_basil_and_from_invoice_payments_since():
    assert booked(a_charge(invoice="in_3"), version=OLD).invoice_id == "in_3"
    assert (
        booked(a_charge(), invoice_payments=[an_invoice_payment(invoice="in_3")]).invoice_id
        == "in_3"
    )


def test_a_payment_of_two_invoices_names_none():
    two = [an_invoice_payment("inpay_1", "in_1"), an_invoice_payment("inpay_2", "in_2")]
    assert booked(a_charge(), invoice_payments=two).invoice_id is None


def test_references_may_be_expanded():
    payment = booked(
        a_charge(customer={"id": "cus_5", "object": "customer"}, payment_intent={"id": "pi_5"})
    )
    assert (payment.customer_id, payment.payment_intent_id) == ("cus_5", "pi_5")


@pytest.mark.parametrize(
    "wrong",
    [
        {"currency": "zzz"},
        {"currency": "USD"},
        {"currency": None},
        {"amount_captured": None},
        {"amount_captured": 10.0},
        {"amount_captured": True},
        {"amount_captured": 2**63},
        {"status": None},
        {"status": ["succeeded"]},
        {"captured": "yes"},
        {"created": -1},
        {"created": 10**15},
    ],
)
def test_a_charge_that_cannot_be_booked_is_refused_and_never_read_as_0(wrong):
    with pytest.raises(UnknownValueError):
        booked(a_charge(**wrong))


def test_the_minor_units_of_zero_and_three_decimal_currencies_stay_as_stripe_gives_them():
    assert booked(a_charge(currency="jpy", amount_captured=980)).amount_minor == 980
    assert booked(a_charge(currency="kwd", amount_captured=7450)).amount_minor == 7450


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("charge", a_charge(amount_captured=None)),
        ("refund", a_refund(amount="400")),
        ("refund", a_refund(currency="???")),
        ("refund", a_refund(status=None)),
        ("dispute", a_dispute(amount=None)),
        ("dispute", a_dispute("dp_1", "ch_1", 1.5)),
        ("invoice", {"id": "in_1", "object": "invoice", "subscription": "sub_1"}),
        (
            "subscription",
            a_subscription(items={"data": [{"id": "si_1", "object": "subscription_item"}]}),
        ),
    ],
)
def test_an_object_without_what_its_version_promises_is_refused(name, payload):
    with pytest.raises(UnknownValueError):
        check_shape(name, payload, adapter=adapter_for(NEW))


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("charge", a_charge()),
        ("refund", a_refund()),
        ("dispute", a_dispute()),
        ("invoice", an_invoice()),
        ("subscription", a_subscription()),
        ("product", {"id": "prod_1"}),
    ],
)
def test_an_object_as_its_version_promises_passes(name, payload):
    check_shape(name, payload, adapter=adapter_for(NEW))


def test_an_object_knows_the_charge_or_the_intent_whose_payment_it_changes():
    assert charges_of("charge", a_charge("ch_7")) == "ch_7"
    assert charges_of("refund", a_refund(charge="ch_7")) == "ch_7"
    assert charges_of("dispute", a_dispute("dp_1", "ch_7")) == "ch_7"
    assert charges_of("refund", a_refund() | {"charge": None}) is None
    assert charges_of("customer", {"id": "cus_1"}) is None
    by_charge = an_invoice_payment(payment={"type": "charge", "charge": "ch_7"})
    assert charges_of("invoice_payment", by_charge) == "ch_7"
    moved = {"id": "txn_1", "object": "balance_transaction", "type": "payment", "source": "py_7"}
    assert charges_of("balance_transaction", moved) == "py_7"
    assert charges_of("balance_transaction", moved | {"type": "refund", "source": "re_7"}) is None
    assert intent_of("invoice_payment", an_invoice_payment(intent="pi_7")) == "pi_7"
    assert intent_of("charge", a_charge()) is None
