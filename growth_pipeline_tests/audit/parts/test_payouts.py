"""Payouts: arrival and lines; sums worked by hand, Stripe answered by a few lines of Python."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from growth_pipeline.audit.codes import Cause, Severity
from growth_pipeline.audit.confirm import PAGE_LIMIT, Asker, NoAnswer, StripeNow
from growth_pipeline.audit.findings import Verdict
from growth_pipeline.audit.parts.payouts import arrival_code, is_itemised, line_minor
from growth_pipeline.core.errors import GrowthError
from growth_pipeline_tests.audit.company import AS_OF, LIVE, NOON, OCTOBER, epoch, found

DAY = 86_400


def payout(company, number, amount, **fields):
    told = {
        "id": f"po_{number}",
        "currency": "usd",
        "amount": amount,
        "status": "paid",
        "automatic": True,
        "arrival_date": epoch(NOON) + 2 * DAY,
        "reconciliation_status": "completed",
        **fields,
    }
    company.other("payouts", **told)
    _move(company, f"txn_po_{number}", told, -amount, "payout", "payout")
    if told["status"] in _RETURNS:
        returned = _RETURNS[told["status"]]
        _move(company, f"txn_back_{number}", told, amount, returned, "payout_reversal")


_RETURNS = {"failed": "payout_failure", "canceled": "payout_cancel"}


def _move(company, name, told, amount, kind, category):
    company.other(
        "balance_transactions", id=name, created=told.get("created", epoch(NOON)), amount=amount,
        fee=0, net=amount, currency=told["currency"], type=kind, reporting_category=category,
        source=told["id"], status="available", available_on=epoch(NOON),
    )  # fmt: skip


def line(net, *, kind="charge", source="ch_1"):
    return {"net": net, "type": kind, "source": source}


def answering(lines, asked=None, objects=None):
    """Stripe that knows these lines by payout, and these objects by id."""

    def pages(resource, params):
        if asked is not None:
            asked.append(params["payout"])
        told = lines[params["payout"]]
        yield told[:1]
        yield told[1:]

    return StripeNow(lambda resource, one: (objects or {}).get(one), pages)


def section(audit):
    (told,) = [one for one in audit.sections if one["section"] == "payouts"]
    return told


def test_a_payout_that_is_the_sum_of_its_lines_passes(company):
    payout(company, 1, 1200)
    lines = [line(900), line(500), line(-200, kind="refund", source="re_1")]
    own = line(-1200, kind="payout", source="po_1")
    audit = company.audit(confirm=answering({"po_1": [*lines, own]}))
    assert found(audit) == []
    assert section(audit)["sides"]["itemised"]["payout_ids"] == ["po_1"]
    assert section(audit)["not_judged"] == []
    assert audit.verdict is Verdict.PASS


def test_lines_that_are_missing_are_named_with_the_difference(company):
    payout(company, 1, 1200)
    lines = [line(900), line(-1200, kind="payout", source="po_1")]
    audit = company.audit(confirm=answering({"po_1": lines}))
    assert found(audit) == [("payout_unbalanced", "po_1", {"usd": -300})]
    (finding,) = audit.findings
    assert (finding.severity, finding.cause) == (Severity.HIGH, Cause.AT_STRIPE)
    assert (finding.evidence["lines"], finding.evidence["lines_minor"]) == (2, 900)


def test_money_that_an_earlier_payout_gave_back_is_a_line_of_the_next(company):
    payout(company, 2, 700)
    lines = [line(500, kind="payout_failure", source="po_1"), line(200)]
    assert found(company.audit(confirm=answering({"po_2": lines}))) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"automatic": False},
        {"reconciliation_status": "in_progress"},
        {"reconciliation_status": "not_applicable"},
        {"reconciliation_status": None},
        {"status": "failed"},
    ],
)
def test_only_automatic_reconciled_payouts_have_lines(fields):
    told = {"automatic": True, "reconciliation_status": "completed", "status": "paid"}
    assert is_itemised(told)
    assert not is_itemised({**told, **fields})


def test_the_payouts_own_transaction_is_no_line_however_it_is_told():
    assert line_minor("po_1", line(-1200, kind="payout", source="po_1")) == 0
    assert line_minor("po_1", line(-1200, kind="payout", source={"id": "po_1"})) == 0
    assert line_minor("po_1", line(-1200, kind="payout", source="po_0")) == -1200


def test_lines_that_added_up_once_are_not_listed_again(company):
    payout(company, 1, 900)
    payout(company, 2, 100)
    asked = []
    lines = {"po_1": [line(900)], "po_2": [line(60)]}
    company.store.publish(company.audit(confirm=answering(lines, asked)))
    lines["po_2"].append(line(40))
    later = AS_OF + timedelta(hours=1)
    again = company.audit(confirm=answering(lines, asked), run_id="run-2", now=later)
    assert asked == ["po_2", "po_1", "po_2"]  # the smaller one first
    assert found(again) == []
    assert company.store.itemised_payouts(LIVE, OCTOBER) == {"po_1"}


def test_a_failed_or_canceled_payout_is_found_also_after_it_was_paid(company):
    payout(company, 1, 1200, status="failed", failure_code="account_closed")
    payout(company, 2, 300, status="canceled")
    payout(company, 3, 50)
    audit = company.audit()
    assert found(audit) == [
        ("payout_failed", "po_1", {"usd": 1200}),
        ("payout_failed", "po_2", {"usd": 300}),
    ]
    assert section(audit)["sides"]["paid out usd"]["stripe"] == 50


def test_a_payout_is_late_more_than_five_days_after_its_arrival_date():
    told = {"status": "in_transit", "arrival_date": 1_000_000}
    five_days = 1_000_000 + 5 * DAY
    assert arrival_code(told, five_days) is None
    assert arrival_code(told, five_days + 1) == "payout_late"
    assert arrival_code({**told, "status": "pending"}, five_days + 1) == "payout_late"
    assert arrival_code({**told, "status": "paid"}, five_days + 1) is None


def test_a_late_payout_warns_and_costs_nothing(company):
    payout(company, 1, 1200, status="in_transit", reconciliation_status="in_progress")
    audit = company.audit()
    assert found(audit) == [("payout_late", "po_1", {})]
    assert audit.findings[0].evidence["exposure_minor"] == 1200
    assert audit.verdict is Verdict.WARNING


def test_a_payout_that_arrived_since_the_extract_is_no_finding(company):
    payout(company, 1, 1200, status="in_transit", reconciliation_status="in_progress")
    now = answering({}, objects={"po_1": {"id": "po_1", "status": "paid", "amount": 1200}})
    assert found(company.audit(confirm=now)) == []


def test_payouts_nobody_can_itemise_are_told_as_not_judged(company):
    payout(company, 1, 1200)
    audit = company.audit()
    assert found(audit) == []
    assert "1 reconciled payouts were not added up" in section(audit)["not_judged"][0]
    assert section(audit)["sides"]["itemised"]["payout_ids"] == []


def test_a_list_that_stripe_does_not_give_is_an_incomplete_source(company):
    payout(company, 1, 1200)

    def refuse(resource, params):
        raise GrowthError("Stripe does not answer")

    audit = company.audit(confirm=StripeNow(lambda resource, one: None, refuse))
    assert found(audit) == [("source_incomplete", "stripe/balance_transactions", None)]


def long_and_short(pages_of, read):
    """Stripe with payouts of so many pages, one cent each; `read` counts pages by payout."""

    def pages(resource, params):
        name = params.get("payout", resource)
        for _ in range(pages_of[name]):
            read[name] += 1
            yield [line(1)]

    return StripeNow(lambda resource, one: None, pages)


def test_a_payout_longer_than_one_audit_reads_is_not_read_to_its_end(company):
    payout(company, 1, 1200)
    read = Counter()
    audit = company.audit(confirm=long_and_short({"po_1": 10**9}, read))
    assert found(audit) == []
    assert read.total() <= PAGE_LIMIT + 2
    (said,) = section(audit)["not_judged"]
    assert "1 reconciled payouts" in said
    assert "did not fit" in said


def test_a_long_payout_keeps_no_other_from_being_added_up(company):
    """One of 5,000 pages stands first in Stripe's list: two of 30 and 900 pages are still read."""
    for number, pages in ((1, 5_000), (2, 30), (3, 900)):
        payout(company, number, pages, created=epoch(NOON) + number)
    read = Counter()
    audit = company.audit(confirm=long_and_short({"po_1": 5_000, "po_2": 30, "po_3": 900}, read))
    assert section(audit)["sides"]["itemised"]["payout_ids"] == ["po_2", "po_3"]
    assert "1 reconciled payouts" in section(audit)["not_judged"][0]


def test_each_audit_goes_on_with_the_payouts_that_did_not_fit(company):
    """Two of 1,600 pages and one that never ends: each audit adds one up, and the third is said."""
    told = {"po_1": 10**9, "po_2": 1_600, "po_3": 1_600}
    for number in (1, 2, 3):
        payout(company, number, 1_600 - (number == 1), created=epoch(NOON) + number)
    added = []
    for audited in range(4):
        later = AS_OF + timedelta(hours=audited)
        read = Counter()
        audit = company.audit(
            confirm=long_and_short(told, read), run_id=f"run-{audited}", now=later
        )
        company.store.publish(audit)
        added.append(len(section(audit)["sides"]["itemised"]["payout_ids"]))
        assert found(audit) == []
        assert read.total() <= PAGE_LIMIT + 6
    assert added[-1] == 2
    assert added == sorted(added)


def test_the_events_of_the_grace_have_pages_of_their_own():
    """Lines of payouts use all their pages up; the events are still read."""
    asker = Asker(long_and_short({"po_1": 10**9, "events": 3}, Counter()))
    lines = asker.total_of("balance_transactions", {"payout": "po_1"}, lambda one: 1, pages=10**9)
    assert lines is NoAnswer.TOO_LONG
    assert asker.pages_left("balance_transactions") == 0
    assert asker.total_of("events", {}, lambda one: 1) == (3, 3)


def test_a_payout_in_its_grace_is_not_judged(company):
    created = epoch(AS_OF) - 60
    company.as_of = AS_OF
    payout(company, 1, 1200, status="failed", created=created)
    assert found(company.audit()) == []
