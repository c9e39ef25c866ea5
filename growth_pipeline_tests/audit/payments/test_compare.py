"""The rule for one pair. Every class has a case that passes and one that is planted; sums by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from growth_pipeline.audit.codes import Severity
from growth_pipeline.audit.payments.compare import (
    amount_factor,
    classify_pair,
    kept_row,
    subset_sums,
)
from growth_pipeline.audit.payments.sides import BookedRow, Pair, StripePayment

START, END, AS_OF = 1_759_276_800, 1_761_955_200, 1_762_041_600  # October 2025, 2 November 2025
CREATED = START + 1_000_000


def a_payment(**fields: Any) -> StripePayment:
    amount = fields.pop("amount", 4000)
    known: dict[str, Any] = {
        "object": "charge",
        "id": "ch_1",
        "created": CREATED,
        "status": "succeeded",
        "captured": True,
        "paid": True,
        "currency": "usd",
        "asked_minor": amount,
        "captured_minor": amount,
        "fee_minor": 120,
        "net_after_fee_minor": 3880,
        "settlement_currency": "usd",
    }
    return StripePayment(**{**known, **fields})


def a_row(**fields: Any) -> BookedRow:
    known: dict[str, Any] = {
        "payment_id": 1,
        "account_id": "acct_1",
        "livemode": True,
        "charge_id": "ch_1",
        "payment_intent_id": None,
        "invoice_id": None,
        "customer_id": "cus_1",
        "status": "succeeded",
        "captured": True,
        "currency": "usd",
        "amount_minor": 4000,
        "refunded_minor": 0,
        "disputed_minor": 0,
        "fee_minor": 120,
        "net_minor": 3880,
        "settlement_currency": "usd",
        "created": CREATED,
        "written_by": "mirror",
        "written": CREATED + 60,
    }
    return BookedRow(**{**known, **fields})


def judge(stripe: StripePayment | None, *rows: BookedRow, **more: Any) -> Any:
    return classify_pair(
        Pair(stripe=stripe, rows=rows, month_start=START, month_end=END, as_of=AS_OF, **more)
    )


def test_equal_sides_have_no_finding():
    assert judge(a_payment(), a_row()) is None


def test_a_row_that_does_not_know_its_fee_yet_agrees():
    assert (
        judge(a_payment(), a_row(fee_minor=None, net_minor=None, settlement_currency=None)) is None
    )


@pytest.mark.parametrize(
    ("stripe", "row", "code", "impacts"),
    [
        (
            {"status": "failed", "paid": False, "captured": False},
            {},
            "status_mismatch",
            {"usd": 4000},
        ),
        ({}, {"status": "failed", "captured": False}, "status_mismatch", {"usd": -4000}),
        ({}, {"status": "paid"}, "status_mismatch", {"usd": -4000}),
        ({}, {"captured": False}, "status_mismatch", {"usd": -4000}),
        ({"captured": False, "captured_minor": 0}, {}, "uncaptured_booked", {"usd": 4000}),
        (
            {"status": "pending", "paid": False, "captured": False},
            {},
            "uncaptured_booked",
            {"usd": 4000},
        ),
        ({"currency": "eur"}, {}, "currency_mismatch", {"eur": -4000, "usd": 4000}),
        ({}, {"amount_minor": 400_000}, "amount_mismatch", {"usd": 396_000}),
        ({}, {"amount_minor": 4002}, "amount_mismatch", {"usd": 2}),
        ({}, {"amount_minor": 3999}, "amount_rounding", {"usd": -1}),
        ({"refunded_minor": 1500}, {}, "refund_missing", {"usd": 1500}),
        ({"refunded_minor": 1500}, {"refunded_minor": 1000}, "refund_missing", {"usd": 500}),
        ({"refunded_minor": 500}, {"refunded_minor": 1000}, "refund_excess", {"usd": -500}),
        (
            {"failed_refunds": (1500,)},
            {"refunded_minor": 1500},
            "refund_failed_booked",
            {"usd": -1500},
        ),
        (
            {"failed_refunds": (700, 800)},
            {"refunded_minor": 1500},
            "refund_failed_booked",
            {"usd": -1500},
        ),
        ({"disputed_minor": 4000}, {}, "dispute_missing", {"usd": 4000}),
        (
            {"disputed_minor": 0, "reinstated_minor": 4000},
            {"disputed_minor": 4000},
            "dispute_state",
            {"usd": -4000},
        ),
        ({"disputed_minor": 4000, "reinstated_minor": 4000}, {}, "dispute_state", {"usd": 4000}),
        ({}, {"fee_minor": 100}, "fee_mismatch", {"usd": -20}),
        ({}, {"net_minor": 4000}, "net_mismatch", {"usd": 120}),
    ],
)
def test_one_planted_difference_has_one_class_and_its_money(stripe, row, code, impacts):
    diagnosis = judge(a_payment(**stripe), a_row(**row))
    assert diagnosis.codes == (code,)
    assert diagnosis.impacts == impacts


@pytest.mark.parametrize(
    ("stripe", "row"),
    [
        (
            {"status": "failed", "paid": False, "captured": False},
            {"status": "failed", "captured": False, "amount_minor": 7},
        ),
        (
            {"status": "pending", "paid": False, "captured": False},
            {"status": "pending", "captured": False},
        ),
        ({"captured": False, "captured_minor": 0}, {"captured": False}),
        ({"asked_minor": 5000}, {}),
        ({"refunded_minor": 900}, {"refunded_minor": 900}),
        ({"disputed_minor": 4000}, {"disputed_minor": 4000}),
        ({"disputed_minor": 0, "reinstated_minor": 4000}, {}),
        ({"failed_refunds": (900,)}, {}),
        (
            {"amount": 0, "net_after_fee_minor": 0, "fee_minor": 0},
            {"amount_minor": 0, "fee_minor": 0, "net_minor": 0},
        ),
    ],
)
def test_normal_life_has_no_finding(stripe, row):
    assert judge(a_payment(**stripe), a_row(**row)) is None


def test_a_young_pending_payment_booked_as_paid_is_a_status_of_medium_weight():
    pending = a_payment(status="pending", paid=False, captured=False, created=AS_OF - 3600)
    diagnosis = judge(pending, a_row())
    assert (diagnosis.code, diagnosis.severity) == ("status_mismatch", Severity.MEDIUM)


def test_a_booked_failure_is_high():
    diagnosis = judge(a_payment(status="failed", paid=False, captured=False), a_row())
    assert diagnosis.severity is Severity.HIGH


def test_a_missing_row_costs_what_was_kept_of_the_payment():
    diagnosis = judge(a_payment(refunded_minor=1500))
    assert diagnosis.codes == ("missing_in_db",)
    assert diagnosis.impacts == {"usd": -2500}


def test_an_unknown_row_adds_what_it_counts():
    assert judge(None, a_row(refunded_minor=1000)).impacts == {"usd": 3000}
    unsettled = judge(None, a_row(status="failed", captured=False))
    assert (unsettled.codes, unsettled.impacts) == (("missing_in_stripe",), {})


def test_a_duplicate_adds_its_amount_and_keeps_the_row_that_fits():
    right, wrong = a_row(payment_id=8), a_row(payment_id=3, amount_minor=3000, written_by="hand")
    diagnosis = judge(a_payment(), wrong, right)
    assert diagnosis.codes == ("duplicate_row",)
    assert diagnosis.impacts == {"usd": 3000}
    assert diagnosis.details["duplicate_row"] == {"kept_payment_id": 8, "extra_payment_ids": [3]}


def test_of_equal_rows_the_mirrors_own_is_kept():
    pair = Pair(
        a_payment(),
        (a_row(payment_id=1, written_by="import"), a_row(payment_id=2)),
        START,
        END,
        AS_OF,
    )
    assert kept_row(pair).payment_id == 2


def test_the_first_class_of_the_table_is_primary_and_the_others_follow():
    stripe = a_payment(currency="eur", refunded_minor=1000)
    diagnosis = judge(stripe, a_row(amount_minor=400_000, fee_minor=1))
    assert diagnosis.codes == ("currency_mismatch", "amount_mismatch", "fee_mismatch")
    assert diagnosis.impacts == {"eur": -3000, "usd": 400_000}


def test_the_impact_is_the_whole_pairs_even_if_two_classes_fit():
    diagnosis = judge(a_payment(refunded_minor=1000), a_row(amount_minor=5000))
    assert diagnosis.codes == ("amount_mismatch", "refund_missing")
    assert diagnosis.impacts == {"usd": 2000}, "booked 5000, Stripe 4000 - 1000"


def test_a_leak_takes_the_place_of_missing():
    assert judge(None, a_row(), leak="account_leak").codes == ("account_leak",)
    elsewhere = a_row(livemode=False)
    diagnosis = judge(a_payment(), leak="livemode_leak", leaked_rows=(elsewhere,))
    assert diagnosis.codes == ("livemode_leak", "missing_in_db")
    assert diagnosis.impacts == {"usd": -4000}


def test_another_month_alone_is_cut_off_without_money():
    diagnosis = judge(a_payment(), a_row(created=END))
    assert diagnosis.codes == ("period_cutoff",)
    assert diagnosis.impacts == {}
    assert diagnosis.severity is Severity.LOW


def test_an_unknown_reference_is_an_orphan_without_money():
    diagnosis = judge(a_payment(), a_row(), orphans=("cus_ghost",))
    assert (diagnosis.codes, diagnosis.impacts) == (("orphan_row",), {})


@pytest.mark.parametrize(
    ("booked", "stripe", "factor"),
    [
        (400_000, {}, "x100"),
        (4_000_000, {}, "x1000"),
        (40, {}, "/100"),
        (4, {}, "/1000"),
        (-4000, {}, "sign"),
        (5000, {"asked_minor": 5000}, "partial capture"),
        (3000, {"refunded_minor": 1000}, "refund netted"),
        (3880, {}, "fee"),
        (3360, {"tax_minor": 640}, "tax"),
        (4640, {"tax_minor": 640}, "tax"),
        (4321, {}, "unexplained"),
    ],
)
def test_the_factor_of_a_wrong_amount_is_named(booked, stripe, factor):
    assert amount_factor(a_payment(**stripe), a_row(amount_minor=booked)) == factor


def test_a_fee_settled_in_another_currency_explains_no_amount():
    stripe = replace(a_payment(), settlement_currency="eur")
    assert amount_factor(stripe, a_row(amount_minor=3880)) == "unexplained"


def test_subset_sums_are_every_sum_of_some():
    assert subset_sums([1, 2, 5]) == {1, 2, 3, 5, 6, 7, 8}
    assert subset_sums([]) == frozenset()
    assert subset_sums([1] * 11) == {1, 11}


def test_a_rounding_hides_no_missing_refund():
    """One unit less than captured, and a refund of 10.00 that is not booked."""
    found = judge(a_payment(refunded_minor=1000), a_row(amount_minor=3999))
    assert found.codes == ("amount_rounding", "refund_missing")
    assert (found.severity, found.impacts) == (Severity.HIGH, {"usd": 3999 - 3000})
