from __future__ import annotations

import pytest

from growth_pipeline.audit.codes import Cause, Severity
from growth_pipeline.audit.compare import classify_pair
from growth_pipeline.audit.evidence import (
    Frame,
    Trace,
    cause_of,
    dashboard_link,
    objects_behind,
    payment_finding,
    stuck_refund_finding,
)
from growth_pipeline.audit.examine import Judged
from growth_pipeline.audit.sides import Pair
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month
from growth_pipeline_tests.audit.test_compare import AS_OF, END, START, a_payment, a_row

LIVE = Scope("acct_1", True)
FRAME = Frame(LIVE, Month(2025, 10))
KNOWN = {"status": "succeeded", "amount_captured": "4000", "amount_refunded": "0"}


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
        ({}, {("charge", "ch_1"): [{"state": "ignored"}]}, Cause.HANDLED_WRONG),
        (
            {("charge", "ch_1"): KNOWN},
            {("charge", "ch_1"): [{"state": "quarantined"}]},
            Cause.QUARANTINED,
        ),
    ],
)
def test_the_cause_of_a_missing_row_comes_from_the_ledger(mirrored, events, cause):
    assert cause_of(judged(a_payment()), [("charge", "ch_1")], Trace(mirrored, events)) is cause


def test_a_row_of_another_writer_was_written_by_hand():
    one = judged(a_payment(), a_row(amount_minor=1, written_by="import"))
    assert cause_of(one, [("charge", "ch_1")], Trace()) is Cause.WRITTEN_BY_HAND


def test_an_invented_row_of_the_mirror_itself_was_handled_wrong():
    assert cause_of(judged(None, a_row()), [("charge", "ch_1")], Trace()) is Cause.HANDLED_WRONG
    assert (
        cause_of(judged(None, a_row(written_by="hand")), [("charge", "ch_1")], Trace())
        is Cause.WRITTEN_BY_HAND
    )


def test_nobody_knows_the_cause_of_a_cut_off():
    one = judged(a_payment(), a_row(created=END))
    assert cause_of(one, [("charge", "ch_1")], Trace()) is Cause.UNKNOWN


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
    assert finding.command == "growth audit --month 2025-10"
    assert finding.impact_minor == -3999
    assert finding.fingerprint


def test_the_newest_five_events_are_evidence():
    events = [
        {"event_id": f"evt_{n}", "created_at": f"2025-10-{n:02}", "state": "applied"}
        for n in range(1, 9)
    ]
    trace = Trace({}, {("charge", "ch_1"): events})
    finding = payment_finding(judged(a_payment()), [("charge", "ch_1")], trace, FRAME)
    assert [event["event_id"] for event in finding.evidence["events"]] == [
        "evt_8",
        "evt_7",
        "evt_6",
        "evt_5",
        "evt_4",
    ]


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
