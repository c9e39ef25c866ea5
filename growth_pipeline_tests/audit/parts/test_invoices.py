"""Invoices, their payments and credit notes: real files and a real mirror, sums worked by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from growth_pipeline.audit.codes import Cause, Severity
from growth_pipeline.audit.confirm import StripeNow
from growth_pipeline.audit.findings import Verdict
from growth_pipeline.audit.parts.invoices import counted_credit, how_it_was_paid
from growth_pipeline.core.periods import Month
from growth_pipeline_tests.audit.company import AS_OF, NOON, NOVEMBER, epoch, found

PAID = {"status": "paid", "amount_paid": 1000, "currency": "usd"}
NOTE = {"invoice": "in_1", "currency": "usd"}


def invoice(company, number, paid, **fields):
    """A paid invoice of `paid`, unless a field says otherwise."""
    told = {
        "id": f"in_{number}",
        "customer": "cus_1",
        "currency": "usd",
        "status": "paid",
        "total": paid,
        "amount_due": paid,
        "amount_paid": paid,
        "amount_remaining": 0,
        "paid_at": epoch(NOON),
        **fields,
    }
    company.other("invoices", **told)


def paid_by(company, number, of, amount, **fields):
    told = {
        "id": f"inpay_{number}",
        "invoice": f"in_{of}",
        "payment_type": "payment_intent",
        "payment_intent": f"pi_{number}",
        "currency": "usd",
        "amount_paid": amount,
        "status": "paid",
        "paid_at": epoch(NOON),
        **fields,
    }
    company.other("invoice_payments", **told)


def credit_note(company, number, amount, **fields):
    told = {
        "id": f"cn_{number}",
        "invoice": "in_1",
        "currency": "usd",
        "amount": amount,
        "total": amount,
        "status": "issued",
        **fields,
    }
    company.other("credit_notes", **told)


def section(audit, name="invoices"):
    (told,) = [one for one in audit.sections if one["section"] == name]
    return told


def test_an_invoice_paid_by_two_payments_is_their_sum(company):
    invoice(company, 1, 1000)
    paid_by(company, 1, 1, 600)
    paid_by(company, 2, 1, 400)
    audit = company.audit()
    assert found(audit) == []
    assert section(audit)["judged"] == 1
    assert section(audit)["sides"]["invoice payments usd"]["stripe"] == 1000


def test_payments_that_do_not_add_up_name_the_difference(company):
    invoice(company, 1, 1000)
    paid_by(company, 1, 1, 600)
    paid_by(company, 2, 1, 300)
    paid_by(company, 3, 1, 100, status="canceled")
    audit = company.audit()
    assert found(audit) == [("invoice_payment_sum", "in_1", {"usd": -100})]
    (finding,) = audit.findings
    assert (finding.severity, finding.cause) == (Severity.HIGH, Cause.AT_STRIPE)
    assert finding.evidence["payments_minor"] == 900
    assert audit.verdict is Verdict.FAIL


def test_a_partly_paid_invoice_is_judged_by_what_it_says_was_paid(company):
    invoice(company, 1, 1000, status="open", amount_paid=400, amount_remaining=600, paid_at=None)
    paid_by(company, 1, 1, 400)
    paid_by(company, 2, 1, 0, status="open", amount_paid=None, paid_at=None)
    assert found(company.audit()) == []


def test_a_payment_of_the_next_month_counts_for_its_invoice(company):
    invoice(company, 1, 1000)
    paid_by(company, 1, 1, 1000, created=epoch(NOVEMBER.start) + 60)
    assert found(company.audit()) == []


def test_what_was_paid_within_the_grace_is_left_alone(company):
    just_now = epoch(AS_OF - timedelta(minutes=30))
    invoice(company, 1, 1000, paid_at=just_now)
    paid_by(company, 1, 1, 600, paid_at=just_now)
    assert found(company.audit()) == []


def test_stripe_is_asked_again_before_a_sum_is_called_wrong(company):
    """Invoice and payments lie in files of two instants: the second payment came in between."""
    invoice(company, 1, 1000)
    paid_by(company, 1, 1, 600)
    asked = []

    def pages(resource, params):
        asked.append((resource, dict(params)))
        yield [{"status": "paid", "amount_paid": 600}]
        yield [{"status": "paid", "amount_paid": 400}, {"status": "open", "amount_paid": None}]

    now = StripeNow(lambda resource, one: {"id": one, "amount_paid": 1000}, pages)
    assert found(company.audit(confirm=now)) == []
    assert asked == [("invoice_payments", {"invoice": "in_1"})]


def test_a_sum_that_is_still_wrong_at_stripe_is_told_as_it_is_now(company):
    invoice(company, 1, 1000)
    paid_by(company, 1, 1, 600)
    now = StripeNow(
        lambda resource, one: {"id": one, "amount_paid": 1000},
        lambda resource, params: iter([[{"status": "paid", "amount_paid": 700}]]),
    )
    assert found(company.audit(confirm=now)) == [("invoice_payment_sum", "in_1", {"usd": -300})]


def test_a_mirror_without_the_second_payment_is_found_and_its_cause_told(company):
    invoice(company, 1, 1000)
    paid_by(company, 1, 1, 600)
    paid_by(company, 2, 1, 400)
    company.mirrored("invoice", "in_1", customer="cus_1", **PAID)
    company.mirrored(
        "invoice_payment", "inpay_1", invoice="in_1", amount_paid=600, status="paid", currency="usd"
    )
    audit = company.audit()
    assert found(audit) == [("invoice_payment_sum", "in_1", {"usd": -400})]
    (finding,) = audit.findings
    assert finding.evidence["side"] == "database"
    assert finding.cause is Cause.NEVER_DELIVERED
    assert section(audit)["sides"]["invoice payments usd"]["database"] == 600


def test_a_mirror_that_knows_no_payment_of_an_invoice_is_not_called_wrong(company):
    invoice(company, 1, 1000)
    paid_by(company, 1, 1, 1000)
    company.mirrored("invoice", "in_1", customer="cus_1", **PAID)
    assert found(company.audit()) == []


def test_a_mirror_that_lost_the_only_payment_of_an_invoice_is_found(company):
    """It heard of the payment of another invoice, so it is told of payments."""
    for number in (1, 2):
        invoice(company, number, 1000)
        paid_by(company, number, number, 1000)
        company.mirrored("invoice", f"in_{number}", customer="cus_1", **PAID)
    company.mirrored("invoice_payment", "inpay_2", invoice="in_2", **PAID)
    audit = company.audit()
    assert found(audit) == [("invoice_payment_sum", "in_1", {"usd": -1000})]
    assert audit.findings[0].evidence["side"] == "database"
    assert audit.findings[0].severity is Severity.HIGH


@pytest.mark.parametrize(
    ("version", "paid_at", "raw", "code"),
    [
        ("2022-11-15", NOON, {"paid_out_of_band": True}, "invoice_paid_no_charge"),
        ("2022-11-15", NOON, {"paid_out_of_band": False}, "invoice_payment_sum"),
        ("2025-03-31.basil", NOON, {}, "invoice_paid_no_charge"),
        ("2026-10-28.endive", NOON, {}, "invoice_paid_no_charge"),
        ("2026-10-28.endive", datetime(2026, 6, 3, tzinfo=UTC), {}, "invoice_payment_sum"),
    ],
)
def test_a_paid_invoice_without_any_payment_is_wrong_where_stripe_tells_of_outside_money(
    company, version, paid_at, raw, code
):
    """90.00 are paid, and no payment, no balance and no record says by what."""
    company.as_of = datetime(2026, 7, 1, tzinfo=UTC)
    company.months = [
        *company.months,
        Month(2025, 12),
        *(Month(2026, number) for number in range(1, 7)),
    ]
    invoice(
        company,
        1,
        9_000,
        api_version=version,
        paid_at=epoch(paid_at),
        raw=orjson.dumps(raw).decode(),
    )
    audit = company.audit()
    (finding,) = audit.findings
    assert finding.code == code
    is_wrong = code == "invoice_payment_sum"
    assert finding.impacts == ({"usd": -9_000} if is_wrong else {})
    assert audit.verdict is (Verdict.FAIL if is_wrong else Verdict.PASS)
    assert "raw" not in finding.evidence["stripe"]


def test_invoices_without_a_charge_are_listed_with_how_they_were_paid(company):
    invoice(company, 1, 0)
    invoice(company, 2, 0, total=500, starting_balance=-500, ending_balance=0)
    invoice(company, 3, 700)
    invoice(company, 4, 900)
    paid_by(company, 4, 4, 900, payment_intent=None, payment_record="pr_1")
    audit = company.audit()
    assert {one.object_id: one.evidence["paid_by"] for one in audit.findings} == {
        "in_1": "total_zero",
        "in_2": "customer_balance",
        "in_3": "out_of_band",
        "in_4": "payment_record",
    }
    assert {one.code for one in audit.findings} == {"invoice_paid_no_charge"}
    assert {one.severity for one in audit.findings} == {Severity.LOW}
    assert all(one.impacts == {} for one in audit.findings)
    assert audit.verdict is Verdict.PASS


def test_a_paid_invoice_that_is_neither_mirrored_nor_booked_is_missing_money(company):
    """7.00, 8.00 and 9.00 came from outside: one is nowhere, one is mirrored, one is booked."""
    for number, paid in ((1, 700), (2, 800), (3, 900), (4, 0)):
        invoice(company, number, paid)
    for number, paid in ((1, 700), (2, 800), (3, 900)):
        record = {"payment_intent": None, "payment_record": f"pr_{number}"}
        paid_by(company, number, number, paid, **record)
    company.mirrored("invoice", "in_2", customer="cus_1", **{**PAID, "amount_paid": 800})
    outside = {"charge_id": None, "payment_intent_id": None, "written_by": "import"}
    company.row(3, amount_minor=900, invoice_id="in_3", **outside)
    audit = company.audit()
    assert {one.object_id: one.code for one in audit.findings} == {
        "in_1": "missing_in_db",
        **dict.fromkeys(("in_2", "in_3", "in_4"), "invoice_paid_no_charge"),
    }
    (missing,) = [one for one in audit.findings if one.code == "missing_in_db"]
    assert missing.impacts == {"usd": -700}
    assert missing.cause is Cause.NEVER_DELIVERED
    assert missing.evidence["paid_by"] == "payment_record"
    assert audit.verdict is Verdict.FAIL
    assert [total.remainder for total in audit.totals.values()] == [0]


def test_money_that_is_missing_as_a_payment_is_not_told_again_as_its_invoice(company):
    """10.00 = 6.00 + 4.00. Both are missing: one is told. Only 4.00 is: the rest is still wrong."""
    company.charge(1, 600)
    company.charge(2, 400)
    company.payment(3, 1000)
    for number, parts in ((1, (600, 400)), (2, (1000,))):
        invoice(company, number, 1000)
        company.mirrored("invoice", f"in_{number}", customer="cus_1", **PAID)
        for place, amount in enumerate(parts):
            paid_by(company, number * 2 - 1 + place, number, amount)
    company.mirrored("invoice_payment", "inpay_3", invoice="in_2", **PAID)
    assert found(company.audit()) == [
        ("missing_in_db", "ch_1", {"usd": -600}),
        ("missing_in_db", "ch_2", {"usd": -400}),
    ]
    company.row(1, amount_minor=600)
    assert found(company.audit()) == [
        ("invoice_payment_sum", "in_1", {"usd": -1000}),
        ("missing_in_db", "ch_2", {"usd": -400}),
    ]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"total": 0}, "total_zero"),
        ({"total": -300}, "total_zero"),
        ({"is_recorded": True}, "payment_record"),
        ({"amount_paid": 100}, "out_of_band"),
        ({"starting_balance": -100}, "customer_balance"),
        ({"starting_balance": 0, "ending_balance": 40}, "moved_to_balance"),
        ({}, "credit_notes"),
    ],
)
def test_each_way_of_paying_without_a_charge_has_a_name(fields, said):
    plain = {"total": 100, "amount_paid": 0, "starting_balance": None, "ending_balance": None}
    assert how_it_was_paid({**plain, "is_recorded": False, **fields}) == said


def test_invoice_payments_that_are_not_extracted_up_to_now_give_no_verdict(company):
    invoice(company, 1, 1000)
    paid_by(company, 1, 1, 600)
    company.unwritten.add(("invoice_payments", NOVEMBER))
    audit = company.audit()
    assert found(audit) == []
    assert any("not extracted up to" in told for told in section(audit)["not_judged"])


def test_a_credit_note_the_mirror_lacks_is_money_the_books_overstate(company):
    company.mirrored("customer", "cus_1")
    credit_note(company, 1, 250)
    credit_note(company, 2, 100)
    company.mirrored("credit_note", "cn_2", amount=100, status="issued", **NOTE)
    audit = company.audit()
    assert found(audit) == [("credit_note_unapplied", "cn_1", {"usd": 250})]
    assert audit.findings[0].cause is Cause.NEVER_DELIVERED
    assert audit.verdict is Verdict.WARNING
    side = section(audit)["sides"]["credit notes usd"]
    assert (side["stripe"], side["database"], side["currency"]) == (350, 100, "usd")


def test_a_void_credit_note_counts_nothing_on_either_side(company):
    company.mirrored("customer", "cus_1")
    credit_note(company, 1, 250, status="void", voided_at=epoch(NOON))
    credit_note(company, 2, 100, status="void", voided_at=epoch(NOON))
    company.mirrored("credit_note", "cn_2", amount=100, status="issued", **NOTE)
    assert found(company.audit()) == [("credit_note_unapplied", "cn_2", {"usd": -100})]


def test_a_credit_note_voided_after_the_extract_is_no_finding(company):
    credit_note(company, 1, 250)
    company.mirrored("credit_note", "cn_1", amount=250, status="void", **NOTE)
    answer = {"id": "cn_1", "status": "void", "amount": 250, "total": 250, "created": 1, **NOTE}
    assert found(company.audit(confirm=lambda resource, one: answer)) == []


def test_an_empty_mirror_means_not_judged_and_not_everything_missing(company):
    credit_note(company, 1, 250)
    audit = company.audit()
    assert found(audit) == []
    assert any("mirrors nothing" in told for told in section(audit)["not_judged"])
    assert section(audit)["sides"]["credit notes usd"]["database"] is None


@pytest.mark.parametrize(("status", "counted"), [("issued", 30), ("void", 0), (None, 0)])
def test_a_credit_note_counts_while_it_is_issued(status, counted):
    assert counted_credit(status, 30) == counted
