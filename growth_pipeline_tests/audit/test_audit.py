"""The whole audit on a real Postgres, a real lake and the real engine; sums worked by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from growth_pipeline.audit.codes import Cause, Severity
from growth_pipeline.audit.findings import Verdict
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month
from growth_pipeline_tests.audit.company import (
    AS_OF,
    LIVE,
    NOON,
    NOVEMBER,
    OCTOBER,
    SEPTEMBER,
    TEST,
    Company,
    epoch,
    found,
)


def test_books_that_agree_pass_with_nothing_found(company):
    company.payment(1, 1000)
    company.payment(2, 5000, currency="jpy")
    company.payment(3, 700, status="failed")
    audit = company.audit()
    assert found(audit) == []
    assert audit.verdict is Verdict.PASS
    assert audit.money_difference == {"jpy": 0, "usd": 0}
    assert audit.totals["usd"].stripe.to_dict() == audit.totals["usd"].booked.to_dict() | {
        "fees_minor": 30
    }
    assert audit.totals["usd"].stripe.gross_minor == 1000


def test_the_example_of_the_contract(company):
    """docs/metrics.md section 13: 85.00 booked, 45.00 at Stripe, 40.00 explained by three findings."""
    company.payment(1, 1000)
    company.payment(2, 2000)
    company.row(2, amount_minor=2000, written_by="hand")
    company.payment(3, 3000)
    company.refund(1, 1500, of=3)
    company.row(9, amount_minor=500, written_by="hand")
    audit = company.audit()
    assert found(audit) == [
        ("duplicate_row", "ch_2", {"usd": 2000}),
        ("missing_in_stripe", "ch_9", {"usd": 500}),
        ("refund_missing", "ch_3", {"usd": 1500}),
    ]
    usd = audit.totals["usd"]
    assert (usd.booked.net_minor, usd.stripe.net_minor) == (8500, 4500)
    assert (usd.difference, usd.explained, usd.cut_off, usd.remainder) == (4000, 4000, 0, 0)
    assert audit.verdict is Verdict.FAIL
    assert audit.severities == {"HIGH": 3, "MEDIUM": 0, "LOW": 0}


def test_a_settled_payment_without_row_is_missing_in_the_books(company):
    company.charge(1, 1200)
    company.charge(2, 800, status="failed")
    company.charge(3, 800, status="pending")
    company.charge(4, 900, captured=False)
    audit = company.audit()
    assert found(audit) == [("missing_in_db", "ch_1", {"usd": -1200})]
    assert audit.findings[0].cause is Cause.NEVER_DELIVERED


def test_rows_are_matched_by_charge_else_intent_else_invoice(company):
    company.charge(1, 1000, status="failed", payment_intent="pi_a")
    company.charge(2, 1000, payment_intent="pi_a")
    company.charge(3, 3000, payment_intent="pi_b")
    company.other(
        "invoices", id="in_b", customer="cus_1", payment_intent="pi_b", currency="usd",
        total=3000, amount_due=3000, amount_paid=3000, amount_remaining=0, status="paid",
    )  # fmt: skip
    company.row(2, charge_id=None, payment_intent_id="pi_a", amount_minor=1000)
    company.row(3, charge_id=None, payment_intent_id=None, invoice_id="in_b", amount_minor=3000)
    assert found(company.audit()) == []


def test_an_invoice_leads_to_its_charge_by_what_the_mirror_knows(company):
    company.charge(1, 1000)
    company.other("invoices", id="in_1", status="open", amount_paid=0, currency="usd")
    payment = {"type": "payment_intent", "payment_intent": "pi_1"}
    company.mirrored("invoice_payment", "inpay_1", invoice="in_1", payment=payment)
    company.row(1, charge_id=None, payment_intent_id=None, invoice_id="in_1", amount_minor=1000)
    assert found(company.audit()) == []


def test_a_row_of_an_invoice_without_a_charge_is_compared_with_the_invoice(company):
    paid = {"status": "paid", "currency": "usd", "customer": "cus_1"}
    company.other("invoices", id="in_1", amount_paid=1000, **paid)
    company.other("invoices", id="in_2", amount_paid=1000, **paid)
    for number, amount in ((1, 1000), (2, 1500)):
        only = {"charge_id": None, "payment_intent_id": None, "invoice_id": f"in_{number}"}
        company.row(number, amount_minor=amount, **only)
    audit = company.audit()
    assert found(audit) == [
        ("amount_mismatch", "in_2", {"usd": 500}),
        ("invoice_paid_no_charge", "in_1", {}),
        ("invoice_paid_no_charge", "in_2", {}),
    ]
    assert audit.totals["usd"].remainder == 0


def test_an_intent_that_only_stripe_can_link_leads_to_its_charge(company):
    company.charge(1, 1000, payment_intent=None)
    company.row(1, charge_id=None, payment_intent_id="pi_9", amount_minor=1000)
    intent = {"id": "pi_9", "created": epoch(NOON), "amount": 1000, "currency": "usd"}
    answers = {
        ("payment_intents", "pi_9"): {**intent, "status": "succeeded", "latest_charge": "ch_1"},
        ("charges", "ch_1"): _charge_now(1, 1000),
    }
    audit = company.audit(confirm=lambda *asked: answers.get(asked))
    assert found(audit) == []
    assert audit.totals["usd"].remainder == 0


def test_a_row_of_an_intent_that_never_got_a_charge_is_no_money(company):
    intent = {"customer": "cus_1", "currency": "usd", "amount": 400, "amount_received": 0}
    company.other("payment_intents", id="pi_1", status="canceled", **intent)
    company.other("payment_intents", id="pi_2", status="requires_payment_method", **intent)
    company.row(1, charge_id=None, payment_intent_id="pi_1", amount_minor=400)
    company.row(2, charge_id=None, payment_intent_id="pi_2", amount_minor=400, status="failed")
    audit = company.audit()
    assert found(audit) == [("status_mismatch", "pi_1", {"usd": 400})]
    assert audit.findings[0].severity is Severity.HIGH


def test_a_charge_with_a_row_by_id_and_a_row_by_intent_is_booked_twice(company):
    company.payment(1, 1000)
    company.row(1, charge_id=None, amount_minor=1000, written_by="import")
    assert found(company.audit()) == [("duplicate_row", "ch_1", {"usd": 1000})]


def test_a_pair_booked_in_another_month_is_cut_off_and_low(company):
    company.payment(1, 1000)
    last_minute = OCTOBER.end - timedelta(minutes=1)
    company.payment(2, 2500, created=epoch(last_minute), booked={"created_at": NOVEMBER.start})
    october, november = company.audit(OCTOBER), company.audit(NOVEMBER)
    assert found(october) == [("period_cutoff", "ch_2", {})]
    assert october.findings[0].severity is Severity.LOW
    usd = october.totals["usd"]
    assert (usd.difference, usd.explained, usd.cut_off, usd.remainder) == (-2500, 0, -2500, 0)
    assert found(november) == []
    usd = november.totals["usd"]
    assert (usd.difference, usd.explained, usd.cut_off, usd.remainder) == (2500, 0, 2500, 0)
    assert october.verdict is Verdict.WARNING, "2,500 of 3,500 moved between months"


def test_little_money_between_months_still_passes(company):
    company.payment(1, 10_000_000)
    company.payment(2, 900, created=epoch(OCTOBER.end) - 60, booked={"created_at": NOVEMBER.start})
    audit = company.audit()
    assert found(audit) == [("period_cutoff", "ch_2", {})]
    assert audit.verdict is Verdict.PASS


def test_a_difference_in_another_month_is_found_in_stripes_month_only(company):
    company.payment(
        1,
        2500,
        created=epoch(OCTOBER.end) - 60,
        booked={"created_at": NOVEMBER.start, "amount_minor": 2600},
    )
    october, november = company.audit(OCTOBER), company.audit(NOVEMBER)
    assert found(october) == [("amount_mismatch", "ch_1", {"usd": 100})]
    assert october.findings[0].also == ("period_cutoff",)
    assert october.totals["usd"].remainder == 0
    assert found(november) == []
    assert november.totals["usd"].cut_off == 2600


@pytest.mark.parametrize("other", [NOVEMBER.start, SEPTEMBER.start])
def test_a_duplicate_in_another_month_is_found(company, other):
    company.payment(1, 1000)
    company.row(1, amount_minor=1000, created_at=other, written_by="import")
    audit = company.audit()
    assert found(audit) == [("duplicate_row", "ch_1", {"usd": 1000})]
    usd = audit.totals["usd"]
    assert (usd.difference, usd.explained, usd.cut_off, usd.remainder) == (0, 1000, -1000, 0)
    assert found(company.audit(Month.of(other))) == []


def test_two_rows_in_other_months_and_none_in_stripes(company):
    company.charge(1, 1000)
    company.row(1, amount_minor=1000, created_at=NOVEMBER.start)
    company.row(1, amount_minor=1000, created_at=SEPTEMBER.start, written_by="hand")
    audit = company.audit()
    assert found(audit) == [("duplicate_row", "ch_1", {"usd": 1000})]
    assert audit.findings[0].also == ("period_cutoff",)
    usd = audit.totals["usd"]
    assert (usd.difference, usd.explained, usd.cut_off, usd.remainder) == (-1000, 1000, -2000, 0)


# --- grace and freshness -------------------------------------------------------------------------


def test_objects_in_their_grace_period_are_not_judged_on_either_side(company):
    company.as_of = datetime(2025, 10, 20, tzinfo=UTC)
    young, old = company.as_of - timedelta(minutes=59), company.as_of - timedelta(minutes=61)
    company.charge(1, 1000, created=epoch(young))
    company.charge(2, 1000, created=epoch(old))
    company.row(3, amount_minor=700, created_at=young)
    company.row(4, amount_minor=700, created_at=old)
    company.months = [OCTOBER]
    audit = company.audit()
    assert found(audit) == [
        ("missing_in_db", "ch_2", {"usd": -1000}),
        ("missing_in_stripe", "ch_4", {"usd": 700}),
    ]
    assert audit.state == "open"
    assert audit.totals["usd"].remainder == 0


def test_a_pair_at_the_edge_of_the_grace_period_counts_by_stripes_instant(company):
    company.as_of = datetime(2025, 10, 20, tzinfo=UTC)
    edge = company.as_of - timedelta(minutes=60)
    company.payment(
        1, 1000, created=epoch(edge) - 1, booked={"created_at": edge + timedelta(seconds=1)}
    )
    company.payment(
        2, 2000, created=epoch(edge) + 1, booked={"created_at": edge - timedelta(seconds=1)}
    )
    company.months = [OCTOBER]
    audit = company.audit()
    assert found(audit) == []
    assert audit.totals["usd"].stripe.gross_minor == audit.totals["usd"].booked.gross_minor == 1000


def test_a_refund_in_its_grace_period_is_not_missed_yet(company):
    company.as_of = datetime(2025, 10, 20, tzinfo=UTC)
    company.payment(1, 1000)
    company.refund(1, 400, of=1, created=epoch(company.as_of) - 1800)
    company.months = [OCTOBER]
    audit = company.audit()
    assert found(audit) == []
    assert audit.totals["usd"].remainder == 0
    assert audit.sources[-1]["not_judged"] == 1


def _charge_now(number: int, amount: int, **fields: object) -> dict[str, object]:
    return {
        "id": f"ch_{number}",
        "object": "charge",
        "created": epoch(NOON) + number,
        "livemode": True,
        "amount": amount,
        "amount_captured": amount,
        "amount_refunded": 0,
        "captured": True,
        "paid": True,
        "status": "succeeded",
        "refunded": False,
        "disputed": False,
        "currency": "usd",
        "customer": "cus_1",
        "payment_intent": f"pi_{number}",
        **fields,
    }


def test_a_charge_refunded_after_the_extract_is_no_finding(company):
    company.payment(
        1, 1000, booked={"refunded_minor": 400, "written_at": AS_OF + timedelta(minutes=1)}
    )
    answers = {("charges", "ch_1"): _charge_now(1, 1000, amount_refunded=400)}
    assert found(company.audit(confirm=lambda *asked: answers.get(asked))) == []


def test_a_row_changed_after_the_extract_that_stripe_does_not_confirm_is_found(company):
    company.payment(
        1, 1000, booked={"refunded_minor": 400, "written_at": AS_OF + timedelta(minutes=1)}
    )
    answers = {("charges", "ch_1"): _charge_now(1, 1000)}
    audit = company.audit(confirm=lambda *asked: answers.get(asked))
    assert found(audit) == [("refund_excess", "ch_1", {"usd": -400})]
    assert audit.findings[0].evidence["confirmed_by_stripe"] is True


def test_a_payment_that_succeeded_after_the_extract_is_no_finding(company):
    company.payment(
        1,
        1000,
        status="pending",
        booked={"status": "succeeded", "captured": True, "written_at": AS_OF},
    )
    answers = {("charges", "ch_1"): _charge_now(1, 1000)}
    audit = company.audit(confirm=lambda *asked: answers.get(asked))
    assert found(audit) == []
    assert audit.totals["usd"].remainder == 0
    assert audit.totals["usd"].stripe.net_minor == 1000


def test_a_dispute_won_after_the_extract_is_no_finding(company):
    company.payment(1, 1000, booked={"disputed_minor": 0, "written_at": AS_OF})
    company.dispute(1, 1000, of=1, withdrawn=1000)
    moves = [{"amount": -1000}, {"amount": 1000}]
    answers = {
        ("charges", "ch_1"): _charge_now(1, 1000, disputed=True),
        ("disputes", "dp_1"): {
            "id": "dp_1", "created": epoch(NOON), "amount": 1000, "currency": "usd", "charge": "ch_1",
            "status": "won", "balance_transactions": moves,
        },
    }  # fmt: skip
    assert found(company.audit(confirm=lambda *asked: answers.get(asked))) == []


def test_a_row_unknown_to_the_files_is_confirmed_by_its_id(company):
    company.row(1, amount_minor=100)
    company.row(2, amount_minor=200)
    company.months = [OCTOBER]
    september = epoch(SEPTEMBER.start) + 60
    answers = {("charges", "ch_2"): _charge_now(2, 200, created=september)}
    asked = []

    def confirm(resource, object_id):
        asked.append((resource, object_id))
        return answers.get((resource, object_id))

    audit = company.audit(confirm=confirm)
    assert found(audit) == [("missing_in_stripe", "ch_1", {"usd": 100})]
    assert audit.findings[0].evidence["confirmed_by_stripe"] is True
    assert sorted(asked) == [("charges", "ch_1"), ("charges", "ch_2")]
    usd = audit.totals["usd"]
    assert (usd.difference, usd.explained, usd.cut_off, usd.remainder) == (300, 100, 200, 0)


def test_a_charge_that_its_list_did_not_hold_makes_the_source_incomplete(company):
    company.row(1, amount_minor=100)
    answers = {("charges", "ch_1"): _charge_now(1, 100)}
    audit = company.audit(confirm=lambda *asked: answers.get(asked))
    assert found(audit) == [("source_incomplete", "stripe/charges", None)]
    assert audit.totals["usd"].remainder == 0


def test_stripe_failing_to_answer_is_an_incomplete_source_and_no_crash(company):
    from growth_pipeline.core.errors import RemoteUnavailableError

    company.row(1, amount_minor=100)

    def confirm(resource, object_id):
        raise RemoteUnavailableError("Stripe cannot be reached")

    audit = company.audit(confirm=confirm)
    assert found(audit) == [("source_incomplete", "stripe/charges", None)]
    assert audit.verdict is Verdict.FAIL
    assert audit.totals["usd"].remainder == 0


def test_a_newer_row_that_nobody_can_confirm_is_no_finding(company):
    from growth_pipeline.core.errors import RemoteUnavailableError

    company.payment(1, 1000, booked={"refunded_minor": 400, "written_at": AS_OF})

    def confirm(resource, object_id):
        raise RemoteUnavailableError("Stripe cannot be reached")

    audit = company.audit(confirm=confirm)
    assert found(audit) == [("source_incomplete", "stripe/charges", None)]
    assert (audit.totals["usd"].remainder, audit.sources[-1]["not_judged"]) == (0, 1)


# --- sources -------------------------------------------------------------------------------------


def test_a_missing_extract_gives_no_verdict_and_no_invented_findings(company):
    company.payment(1, 1000)
    company.unwritten = {("charges", OCTOBER)}
    audit = company.audit()
    assert found(audit) == [("source_incomplete", "stripe/charges", None)]
    assert audit.totals == {}
    assert audit.verdict is Verdict.FAIL
    assert audit.findings[0].command == "growth doctor"


@pytest.mark.parametrize("lie", [{"has_more": True}, {"complete": False}, {"window": [0, 5]}])
def test_a_list_that_did_not_end_is_an_incomplete_source(company, lie):
    company.payment(1, 1000)
    company.certificates[("refunds", OCTOBER)] = lie
    audit = company.audit()
    assert found(audit) == [("source_incomplete", "stripe/refunds", None)]


def test_a_file_whose_bytes_changed_is_an_incomplete_source(company, tmp_path):
    company.payment(1, 1000)
    company.write()
    (path,) = (tmp_path / "lake" / "stripe" / "disputes").glob("**/month=2025-10/*.parquet")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    company.write = lambda month: None
    audit = company.audit()
    assert [one.object_id for one in audit.findings] == ["stripe/disputes"]


def test_without_the_later_months_refunds_the_charges_own_sum_counts(company):
    company.payment(1, 1000, booked={"refunded_minor": 300})
    company.refund(1, 300, of=1, created=epoch(NOVEMBER.start) + 60)
    company.months = [OCTOBER]
    assert found(company.audit()) == []


def test_a_dispute_in_no_extract_is_asked_for_by_the_mirrors_id(company):
    company.payment(1, 1000, booked={"disputed_minor": 1000})
    company.dispute(1, 1000, of=1, withdrawn=1000, created=epoch(NOVEMBER.start) + 60)
    company.months = [OCTOBER]
    company.mirrored("dispute", "dp_1", charge="ch_1")
    answers = {
        ("charges", "ch_1"): _charge_now(1, 1000, disputed=True),
        ("disputes", "dp_1"): {
            "id": "dp_1", "created": epoch(NOVEMBER.start), "amount": 1000, "currency": "usd",
            "charge": "ch_1", "status": "needs_response", "balance_transactions": [{"amount": -1000}],
        },
    }  # fmt: skip
    assert found(company.audit(confirm=lambda *asked: answers.get(asked))) == []


def test_a_dispute_that_nobody_can_tell_is_no_verdict(company):
    company.payment(1, 1000, booked={"disputed_minor": 1000})
    company.dispute(1, 1000, of=1, withdrawn=1000, created=epoch(NOVEMBER.start) + 60)
    company.months = [OCTOBER]
    audit = company.audit()
    assert found(audit) == [("source_incomplete", "stripe/disputes", None)]
    assert audit.totals["usd"].remainder == 0


# --- scopes, orphans, balance --------------------------------------------------------------------


def test_a_test_payment_in_the_live_books_is_a_leak(company, lake, database, engine):
    tests = Company(lake, database, engine, scope=TEST)
    tests.charge(7, 900)
    tests.write()
    company.payment(1, 1000)
    company.row(7, amount_minor=900)
    assert found(company.audit()) == [("livemode_leak", "ch_7", {"usd": 900})]


def test_a_payment_of_another_account_is_a_leak_known_from_the_mirror(company):
    company.payment(1, 1000)
    company.row(7, amount_minor=900)
    company.mirrored("charge", "ch_7", scope=Scope("acct_2", True))
    assert found(company.audit()) == [("account_leak", "ch_7", {"usd": 900})]


def test_a_live_payment_marked_as_test_is_a_leak_and_missing(company):
    company.charge(1, 1000)
    company.row(1, amount_minor=1000, livemode=False)
    audit = company.audit()
    assert found(audit) == [("livemode_leak", "ch_1", {"usd": -1000})]
    assert audit.findings[0].also == ("missing_in_db",)


def test_a_row_that_points_at_an_unknown_customer_is_an_orphan(company):
    company.payment(1, 1000)
    company.payment(2, 1000, booked={"customer_id": "cus_ghost"})
    company.payment(3, 1000, booked={"customer_id": "cus_mirror"})
    company.mirrored("customer", "cus_mirror")
    audit = company.audit()
    assert found(audit) == [("orphan_row", "ch_2", {})]
    assert audit.findings[0].severity is Severity.MEDIUM
    assert audit.verdict is Verdict.WARNING


def test_a_customer_that_stripe_itself_names_is_no_orphan_though_deleted(company):
    company.payment(1, 1000, customer="cus_deleted")
    assert found(company.audit()) == []


def test_a_row_that_points_at_an_unknown_invoice_is_an_orphan_unless_stripe_knows_it(company):
    company.payment(1, 1000, booked={"invoice_id": "in_ghost"})
    company.payment(2, 1000, booked={"invoice_id": "in_older"})
    answers = {("invoices", "in_older"): {"id": "in_older"}}
    assert found(company.audit(confirm=lambda *asked: answers.get(asked))) == [
        ("orphan_row", "ch_1", {})
    ]


def test_a_refund_of_an_unknown_charge_is_an_orphan(company):
    company.payment(1, 1000)
    company.refund(1, 100, of=77)
    company.dispute(2, 100, of=78)
    audit = company.audit()
    assert found(audit) == [("orphan_row", "dp_2", {}), ("orphan_row", "re_1", {})]


def test_a_refund_of_an_older_charge_that_the_books_know_is_no_orphan(company):
    long_ago = datetime(2025, 2, 1, tzinfo=UTC)
    company.row(77, amount_minor=1000, created_at=long_ago)
    company.refund(1, 100, of=77)
    assert found(company.audit()) == []


def test_a_balance_transaction_without_source_is_unlinked(company):
    company.payment(1, 1000)
    charge = {"id": "ch_gone", "created": epoch(NOON), "currency": "usd", "amount_captured": 500}
    company.balance(9, charge)
    company.other("payouts", **payout("po_1", 485))
    paid = {"type": "payout", "reporting_category": "payout", "amount": -485, "fee": 0}
    company.balance(10, {**charge, "id": "po_1"}, **paid, net=-485)
    assert found(company.audit()) == [("balance_unlinked", "txn_9", {"usd": 485})]


def payout(payout_id, amount):
    return {
        "id": payout_id,
        "currency": "usd",
        "amount": amount,
        "status": "paid",
        "automatic": False,
        "arrival_date": epoch(NOON),
    }


def test_fees_are_compared_in_the_settlement_currency(company):
    fee = {"fee_minor": 30, "net_minor": 970, "settlement_currency": "usd"}
    company.payment(1, 1000, booked=fee)
    company.payment(2, 1000, booked={**fee, "fee_minor": 59, "net_minor": 941})
    company.payment(3, 1000, booked={**fee, "net_minor": 1000})
    company.payment(4, 1000)
    audit = company.audit()
    assert found(audit) == [
        ("fee_mismatch", "ch_2", {"usd": 29}),
        ("net_mismatch", "ch_3", {"usd": 30}),
    ]
    assert audit.totals["usd"].stripe.fees_minor == 120
    assert audit.totals["usd"].booked.fees_minor is None  # of the fourth row it is unknown
    assert audit.totals["usd"].remainder == 0


def test_booked_fees_are_summed_where_every_row_knows_its_fee(company):
    fee = {"fee_minor": 30, "net_minor": 970, "settlement_currency": "usd"}
    company.payment(1, 1000, booked=fee)
    company.payment(2, 1000, booked={**fee, "fee_minor": 59, "net_minor": 941})
    assert company.audit().totals["usd"].booked.fees_minor == 30 + 59


def test_a_refund_that_waits_for_more_than_ten_days_is_stuck(company):
    company.payment(1, 1000, booked={"refunded_minor": 100})
    company.refund(1, 100, of=1, status="pending")
    company.payment(2, 1000, booked={"refunded_minor": 100})
    company.refund(2, 100, of=2, status="pending", created=epoch(AS_OF) - 9 * 86_400)
    audit = company.audit()
    assert found(audit) == [("refund_stuck", "re_1", {})]
    assert audit.findings[0].evidence["exposure_minor"] == 100


def test_a_row_without_tax_names_the_tax_as_the_likely_factor(company):
    company.payment(1, 1190, booked={"amount_minor": 1000, "invoice_id": "in_1"})
    company.other(
        "invoices", id="in_1", currency="usd", raw='{"total": 1190, "total_excluding_tax": 1000}'
    )
    (finding,) = company.audit().findings
    assert finding.evidence["details"]["amount_mismatch"]["factor"] == "tax"


# --- causes --------------------------------------------------------------------------------------


def test_a_quarantined_event_is_named_as_the_cause(company):
    company.charge(1, 1000)
    company.event("evt_bad", "charge", "ch_1", state="quarantined")
    (finding,) = company.audit().findings
    assert finding.cause is Cause.QUARANTINED
    assert [event["event_id"] for event in finding.evidence["delivery"]] == ["evt_bad"]
    assert finding.evidence["repair"].startswith("growth repair ")


def test_a_mirror_that_knows_it_all_means_the_row_was_handled_wrong(company):
    company.payment(1, 1000, booked={"amount_minor": 11})
    company.mirrored("charge", "ch_1", status="succeeded", amount_captured=1000, amount_refunded=0)
    (finding,) = company.audit().findings
    assert (finding.code, finding.cause) == ("amount_mismatch", Cause.HANDLED_WRONG)


def test_a_mirror_with_an_older_state_means_an_event_never_came(company):
    company.payment(1, 1000, booked={"status": "pending", "captured": False})
    company.mirrored("charge", "ch_1", status="pending")
    (finding,) = company.audit().findings
    assert (finding.code, finding.cause) == ("status_mismatch", Cause.NEVER_DELIVERED)


def test_a_refund_without_event_was_never_delivered(company):
    company.payment(1, 1000)
    company.refund(1, 400, of=1)
    company.mirrored("charge", "ch_1", status="succeeded", amount_captured=1000, amount_refunded=0)
    (finding,) = company.audit().findings
    assert (finding.code, finding.cause) == ("refund_missing", Cause.NEVER_DELIVERED)


def test_a_row_written_by_hand_says_so(company):
    company.payment(1, 1000)
    company.row(1, amount_minor=1000, written_by="hand")
    (finding,) = company.audit().findings
    assert (finding.code, finding.cause) == ("duplicate_row", Cause.WRITTEN_BY_HAND)
    assert finding.evidence["link"] == "https://dashboard.stripe.com/acct_1/payments/ch_1"


def test_scopes_do_not_see_each_other(company, lake, database, engine):
    tests = Company(lake, database, engine, scope=TEST)
    tests.payment(5, 700)
    company.payment(1, 1000)
    assert found(company.audit()) == []
    assert found(tests.audit()) == []
    assert tests.audit().totals["usd"].stripe.net_minor == 700
    assert company.scope == LIVE
