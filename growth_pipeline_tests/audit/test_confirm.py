from __future__ import annotations

import pytest

from growth_pipeline.audit.confirm import REFERENCE_TOTAL, Asker, FreshPayments, NoAnswer
from growth_pipeline.core.errors import RemoteUnavailableError, UnknownValueError

VERSION = "2026-10-28.endive"
CHARGE = {
    "id": "ch_1", "object": "charge", "created": 1_760_000_000, "amount": 3000, "amount_captured": 1800,
    "amount_refunded": 100, "captured": True, "paid": True, "status": "succeeded", "refunded": False, "disputed": True,
    "currency": "usd", "customer": "cus_1", "payment_intent": {"id": "pi_1", "object": "payment_intent"},
}  # fmt: skip
INTENT = {
    "id": "pi_1", "object": "payment_intent", "created": 1_760_000_000, "amount": 3000, "currency": "usd",
    "status": "canceled", "customer": "cus_1", "latest_charge": None,
}  # fmt: skip
INVOICE = {
    "id": "in_1", "object": "invoice", "created": 1_760_000_000, "currency": "usd", "total": 900, "amount_due": 900,
    "amount_paid": 900, "amount_remaining": 0, "status": "paid", "customer": "cus_1", "parent": None,
}  # fmt: skip


class AStripe:
    """Answers from a table and remembers what it was asked."""

    def __init__(self, *objects: dict) -> None:
        self.objects = {one["id"]: one for one in objects}
        self.asked: list[tuple[str, str]] = []

    def __call__(self, resource: str, object_id: str) -> dict | None:
        self.asked.append((resource, object_id))
        return self.objects.get(object_id)


def test_an_object_is_asked_about_once():
    stripe = AStripe(CHARGE)
    asker = Asker(stripe)
    assert [
        asker.ask("charge", "ch_1"),
        asker.ask("charge", "ch_1"),
        asker.ask("charge", "ch_2"),
    ] == [CHARGE, CHARGE, None]
    assert stripe.asked == [("charges", "ch_1"), ("charges", "ch_2")]


def test_without_anybody_to_ask_nothing_is_known():
    asker = Asker(None)
    assert asker.ask("charge", "ch_1") is NoAnswer.UNASKED
    assert not asker.can_ask


def test_too_many_open_payments_are_a_failure_of_the_source():
    stripe = AStripe()
    asker = Asker(stripe, limit=2)
    answers = [asker.ask("charge", f"ch_{n}") for n in range(4)]
    assert answers == [None, None, NoAnswer.UNASKED, NoAnswer.UNASKED]
    assert len(stripe.asked) == 2
    assert "extract the month again" in asker.failures["charges"]


def test_too_many_references_are_only_counted():
    asker = Asker(AStripe(), reference_limit=1)
    answers = [asker.ask("customer", f"cus_{n}", is_payment=False) for n in range(3)]
    assert answers == [None, NoAnswer.UNASKED, NoAnswer.UNASKED]
    assert (asker.failures, asker.not_asked) == ({}, 2)


def test_each_class_has_an_allowance_of_its_own_and_what_was_not_asked_is_counted():
    asker = Asker(AStripe(), reference_limit=2)
    for name in ("orphan_row", "duplicate_subscription"):
        for number in range(3):
            asker.ask("customer", f"{name}_{number}", is_payment=False, allowance=name)
    assert asker.asked == 4
    assert asker.unasked == {"orphan_row": 1, "duplicate_subscription": 1}
    assert (asker.not_asked, asker.failures) == (2, {})


def test_all_allowances_together_are_bounded():
    asker = Asker(AStripe(), reference_limit=400)
    for number in range(20 * 400):
        asker.ask("customer", f"cus_{number}", is_payment=False, allowance=f"class {number % 20}")
    assert asker.asked == REFERENCE_TOTAL
    assert sum(asker.unasked.values()) == 20 * 400 - REFERENCE_TOTAL


def test_a_source_that_fails_is_not_asked_again():
    asked = []

    def failing(resource: str, object_id: str) -> None:
        asked.append(object_id)
        raise RemoteUnavailableError("Stripe cannot be reached")

    asker = Asker(failing)
    assert {asker.ask("charge", f"ch_{n}") for n in range(3)} == {NoAnswer.UNASKED}
    assert asked == ["ch_0"]
    assert asker.failures == {"charges": "Stripe cannot be reached"}


def test_a_fresh_charge_has_its_own_refunds_and_the_funds_of_its_known_disputes():
    """Captured 18.00, refunded 1.00, disputed 18.00 of which nothing came back; a refund of 5.00 failed."""
    dispute = {
        "created": 1_760_000_000,
        "id": "dp_1",
        "amount": 1800,
        "currency": "usd",
        "status": "lost",
        "balance_transactions": [{"amount": -1800}],
    }
    refund = {
        "created": 1_760_000_000,
        "id": "re_1",
        "amount": 500,
        "currency": "usd",
        "status": "failed",
    }
    fresh = FreshPayments(Asker(AStripe(CHARGE, dispute, refund)), VERSION)
    payment = fresh.charge("ch_1", [("dispute", "dp_1"), ("refund", "re_1"), ("refund", "re_gone")])
    assert (payment.captured_minor, payment.asked_minor, payment.refunded_minor) == (
        1800,
        3000,
        100,
    )
    assert (payment.disputed_minor, payment.reinstated_minor, payment.failed_refunds) == (
        1800,
        0,
        (500,),
    )
    assert payment.payment_intent == "pi_1"


def test_before_basil_the_uncaptured_rest_is_no_refund():
    old = {**CHARGE, "amount_refunded": 1200, "invoice": "in_1"}
    payment = FreshPayments(Asker(AStripe(old)), "2022-11-15").charge("ch_1", ())
    assert (payment.refunded_minor, payment.invoice) == (0, "in_1")


def test_a_charge_that_stripe_does_not_know_is_none():
    assert FreshPayments(Asker(AStripe()), VERSION).charge("ch_1", ()) is None


def test_an_intent_or_invoice_leads_to_its_charge_or_stands_for_itself():
    fresh = FreshPayments(Asker(AStripe({**INTENT, "latest_charge": "ch_9"})), VERSION)
    assert fresh.of("payment_intent", {**INTENT, "latest_charge": "ch_1"}) == "ch_1"
    assert fresh.of("payment_intent", INTENT).status == "failed"
    assert fresh.of("invoice", INVOICE).net_minor == 900
    paid_by_intent = {
        "data": [
            {"is_default": True, "payment": {"type": "payment_intent", "payment_intent": "pi_1"}}
        ]
    }
    assert fresh.of("invoice", {**INVOICE, "payments": paid_by_intent}) == "ch_9"


def test_an_answer_without_a_promised_field_is_an_error_and_no_zero():
    broken = {name: value for name, value in CHARGE.items() if name != "amount_captured"}
    with pytest.raises(UnknownValueError, match="amount_captured"):
        FreshPayments(Asker(AStripe(broken)), VERSION).charge("ch_1", ())
