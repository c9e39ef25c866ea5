from __future__ import annotations

from datetime import UTC, datetime

import pytest

from growth_pipeline.audit.causes import Trace
from growth_pipeline.audit.codes import Cause, Severity
from growth_pipeline.audit.evidence import (
    Booking,
    Frame,
    cause_of,
    dashboard_link,
    objects_behind,
    payment_finding,
    stuck_refund_finding,
)
from growth_pipeline.audit.payments.compare import classify_pair
from growth_pipeline.audit.payments.examine import Judged
from growth_pipeline.audit.payments.sides import Pair
from growth_pipeline.billing.payments import Payment
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month
from growth_pipeline_tests.audit.payments.test_compare import AS_OF, END, START, a_payment, a_row

LIVE = Scope("acct_1", True)
FRAME = Frame(LIVE, Month(2025, 10))
KNOWN = {"status": "succeeded", "amount_captured": "4000", "amount_refunded": "0"}
KNOWN_TRACE = Trace({("charge", "ch_1"): KNOWN})


def an_event(event_id: str, **fields) -> dict[str, object]:
    return {
        "event_id": event_id,
        "type": "charge.succeeded",
        "created_at": "2025-10-12T16:00:00+00:00",
        "state": "applied",
        **fields,
    }


NOTHING_BOOKED = Booking(LIVE, {})
BOOKED_RIGHT = Booking(
    LIVE,
    {
        (LIVE, "ch_1"): Payment(
            charge_id="ch_1",
            payment_intent_id=None,
            invoice_id=None,
            customer_id="cus_1",
            status="succeeded",
            captured=True,
            currency="usd",
            amount_minor=4000,
            refunded_minor=0,
            disputed_minor=0,
            fee_minor=120,
            net_minor=3880,
            settlement_currency="usd",
            created_at=datetime(2025, 10, 12, 13, 46, 40, tzinfo=UTC),
        )
    },
)


def judged(stripe, *rows) -> Judged:
    pair = Pair(stripe, rows, START, END, AS_OF)
    diagnosis = classify_pair(pair)
    assert diagnosis is not None
    return Judged(pair, diagnosis, confirmed=False)


def test_behind_a_refund_finding_stand_the_charge_and_its_refunds():
    one = judged(a_payment(refunded_minor=100), a_row())
    parts = [("refund", "re_1"), ("dispute", "dp_1")]
    assert objects_behind(one, parts) == [("charge", "ch_1"), ("refund", "re_1")]


def test_behind_another_finding_stands_the_charge_alone():
    assert objects_behind(judged(a_payment()), [("refund", "re_1")]) == [("charge", "ch_1")]


@pytest.mark.parametrize(
    ("mirrored", "events", "cause"),
    [
        ({}, {}, Cause.NEVER_DELIVERED),
        ({("charge", "ch_1"): KNOWN}, {}, Cause.HANDLED_WRONG),
        ({("charge", "ch_1"): {**KNOWN, "status": "pending"}}, {}, Cause.NEVER_DELIVERED),
        ({("charge", "ch_1"): {**KNOWN, "amount_captured": "1"}}, {}, Cause.NEVER_DELIVERED),
        ({}, {("charge", "ch_1"): [an_event("evt_1", state="ignored")]}, Cause.HANDLED_WRONG),
        (
            {("charge", "ch_1"): KNOWN},
            {("charge", "ch_1"): [an_event("evt_1", state="quarantined")]},
            Cause.QUARANTINED,
        ),
    ],
)
def test_the_cause_of_a_missing_row_comes_from_the_ledger(mirrored, events, cause):
    told = cause_of(judged(a_payment()), [("charge", "ch_1")], Trace(mirrored, events))
    assert told.cause is cause


def test_a_row_of_another_writer_was_written_by_hand():
    one = judged(a_payment(), a_row(amount_minor=1, written_by="import"))
    assert cause_of(one, [("charge", "ch_1")], Trace()).cause is Cause.WRITTEN_BY_HAND


def test_a_row_of_ours_that_the_mirror_has_no_charge_for_was_written_by_hand():
    invented = judged(None, a_row())
    behind = [("charge", "ch_1")]
    assert cause_of(invented, behind, Trace()).cause is Cause.HANDLED_WRONG, "nobody asked"
    assert cause_of(invented, behind, Trace(), NOTHING_BOOKED).cause is Cause.WRITTEN_BY_HAND
    known = Trace({("charge", "ch_1"): KNOWN})
    assert cause_of(invented, behind, known, NOTHING_BOOKED).cause is Cause.HANDLED_WRONG


def test_a_row_of_ours_that_is_not_what_the_mirror_books_was_changed_by_hand():
    one = judged(a_payment(), a_row(amount_minor=4100))
    told = cause_of(one, [("charge", "ch_1")], KNOWN_TRACE, BOOKED_RIGHT)
    assert told.cause is Cause.WRITTEN_BY_HAND


def test_a_row_of_ours_that_the_mirror_would_book_again_waits_for_stripes_news():
    one = judged(a_payment(refunded_minor=500), a_row())
    behind = [("charge", "ch_1"), ("refund", "re_1")]
    told = cause_of(one, behind, KNOWN_TRACE, BOOKED_RIGHT)
    assert told.cause is Cause.NEVER_DELIVERED


def test_a_change_beside_the_class_says_nothing_about_its_cause():
    """The refund never came; that somebody also changed the customer is another story."""
    one = judged(a_payment(refunded_minor=500), a_row(customer_id="cus_2"))
    behind = [("charge", "ch_1"), ("refund", "re_1")]
    assert cause_of(one, behind, KNOWN_TRACE, BOOKED_RIGHT).cause is Cause.NEVER_DELIVERED


def test_a_missing_row_whose_charge_the_mirror_would_book_was_handled_wrong():
    told = cause_of(judged(a_payment()), [("charge", "ch_1")], Trace(), BOOKED_RIGHT)
    assert told.cause is Cause.HANDLED_WRONG


def test_a_hundredfold_is_a_wrong_unit_whoever_wrote_it():
    for writer in ("mirror", "import"):
        one = judged(a_payment(), a_row(amount_minor=400_000, written_by=writer))
        told = cause_of(one, [("charge", "ch_1")], KNOWN_TRACE, BOOKED_RIGHT)
        assert told.cause is Cause.UNIT_FACTOR


def test_a_cut_off_is_a_matter_of_time():
    one = judged(a_payment(), a_row(created=END))
    assert cause_of(one, [("charge", "ch_1")], Trace()).cause is Cause.CUT_OFF


def test_a_finding_holds_both_sides_the_rows_to_correct_and_a_link():
    finding = payment_finding(
        judged(a_payment(), a_row(payment_id=17, amount_minor=1)),
        [("charge", "ch_1")],
        Trace(),
        FRAME,
    )
    assert finding.evidence["stripe"]["captured_minor"] == 4000
    assert finding.evidence["booked"][0]["amount_minor"] == 1
    assert finding.evidence["details"]["amount_mismatch"]["booked_minor"] == 1
    assert finding.evidence["link"] == "https://dashboard.stripe.com/acct_1/payments/ch_1"
    assert finding.action.endswith("Rows of billing.payments: payment_id 17.")
    assert finding.command == "growth repair --month 2025-10"
    assert finding.impact_minor == -3999
    assert finding.fingerprint


def test_a_stuck_refund_shows_its_exposure_and_how_long_it_waits():
    refund = {
        "id": "re_1",
        "charge": "ch_1",
        "currency": "usd",
        "amount": 500,
        "status": "pending",
        "created": AS_OF - 12 * 86_400,
    }
    finding = stuck_refund_finding(refund, AS_OF, FRAME)
    assert (finding.impacts, finding.severity) == ({}, Severity.MEDIUM)
    assert (finding.evidence["exposure_minor"], finding.evidence["waiting_days"]) == (500, 12)


@pytest.mark.parametrize(
    ("scope", "thing", "object_id", "link"),
    [
        (LIVE, "charge", "ch_1", "https://dashboard.stripe.com/acct_1/payments/ch_1"),
        (
            Scope("self", False),
            "invoice",
            "in_1",
            "https://dashboard.stripe.com/test/invoices/in_1",
        ),
        (LIVE, "charge", "ch_1/../../evil", None),
        (LIVE, "charge", "ch_1)](http://evil.example", None),
        (LIVE, "charge", "ch_1\n", None),
        (LIVE, "balance_transaction", "txn_1", None),
        (
            Scope("acct_1/evil", True),
            "charge",
            "ch_1",
            "https://dashboard.stripe.com/payments/ch_1",
        ),
    ],
)
def test_only_plain_ids_become_part_of_a_link(scope, thing, object_id, link):
    assert dashboard_link(scope, thing, object_id) == link
