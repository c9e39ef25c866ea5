"""Findings close only when their class was judged; older data never overwrites newer."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from growth_pipeline.audit.checks import check_results
from growth_pipeline.audit.codes import CODES
from growth_pipeline.audit.findings import Verdict
from growth_pipeline.audit.months.changes import count_findings
from growth_pipeline.audit.months.judged import (
    NOT_JUDGED,
    is_not_judged,
    still_open,
    unjudged_without,
)
from growth_pipeline.audit.report.class_facts import class_facts
from growth_pipeline.audit.report.write import to_dict, to_markdown
from growth_pipeline_tests.audit.company import AS_OF, LIVE, OCTOBER

LATER = AS_OF + timedelta(days=1)
LAST = AS_OF + timedelta(days=2)


def codes(findings):
    return sorted(one.code for one in findings)


def without_charges(company):
    """The month's charges are lost from the lake."""
    for folder in (Path(company.lake.url) / "stripe" / "charges").rglob("month=2025-10"):
        shutil.rmtree(folder)
    company.unwritten = {("charges", OCTOBER)}


@pytest.fixture
def wrong_books(company):
    company.charge(1, 1200)
    company.payment(2, 5000)
    with company.database.connection() as connection:
        connection.execute(
            "update billing.payments set amount_minor = 4000 where charge_id = 'ch_2'"
        )
    assert codes(company.audit_and_keep().findings) == ["amount_mismatch", "missing_in_db"]
    return company


def test_findings_stay_open_while_the_list_that_they_rest_on_is_missing(wrong_books):
    company = wrong_books
    without_charges(company)
    audit = company.audit_and_keep(as_of=LATER)
    both = ["amount_mismatch", "missing_in_db"]
    assert codes(one for one in audit.findings if is_not_judged(one)) == both
    assert codes(one for one in company.store.findings(LIVE, OCTOBER) if one.code in both) == both
    assert (audit.changes["findings"]["closed"], audit.changes["findings"]["not_judged"]) == (0, 2)
    assert "2 still open and not judged" in audit.changes["said"]
    stored = company.store.latest(LIVE, OCTOBER)
    assert (stored.unjudged, stored.findings) != ((), ())
    assert stored.unjudged == audit.unjudged
    assert set(both) <= set(to_dict(stored)["unjudged"])
    assert "Still open, not judged this time" in to_markdown(stored)


def test_they_are_judged_again_as_soon_as_the_list_is_back(wrong_books):
    company = wrong_books
    without_charges(company)
    company.audit_and_keep(as_of=LATER)
    company.unwritten = set()
    with company.database.connection() as connection:
        connection.execute(
            "update billing.payments set amount_minor = 5000 where charge_id = 'ch_2'"
        )
    audit = company.audit_and_keep(as_of=LAST)
    assert codes(audit.findings) == ["missing_in_db"]
    assert not any(NOT_JUDGED in one.evidence for one in audit.findings)
    assert audit.changes["findings"] == {
        **{"new": 0, "changed": 0, "unchanged": 1, "not_judged": 0},
        "closed": 2,  # the wrong amount, and the missing list
    }
    assert codes(company.store.findings(LIVE, OCTOBER)) == ["missing_in_db"]


def test_how_long_a_finding_was_not_judged_counts_from_the_first_audit_that_did_not(wrong_books):
    without_charges(wrong_books)
    for at in (LATER, LAST):
        audit = wrong_books.audit_and_keep(as_of=at)
    since = {one.evidence.get(NOT_JUDGED) for one in audit.findings if is_not_judged(one)}
    assert since == {LATER.isoformat()}


def an_access(company):
    with company.database.connection() as connection:
        connection.execute(
            "insert into billing.entitlements (account_id, livemode, subscription_id, user_id,"
            " has_access, mrr_minor, currency, written_by, written_at)"
            " values ('acct_1', true, 'sub_nobody', 'user_1', true, 900, 'usd', 'application',"
            " '2025-10-05')"
        )


def test_a_section_that_nobody_tells_any_more_keeps_the_verdict_and_its_findings(company):
    company.payment(1, 1000)
    an_access(company)
    first = company.audit_and_keep()
    assert (first.verdict, codes(first.findings)) == (Verdict.FAIL, ["subscription_missing"])
    with company.database.connection() as connection:
        connection.execute("delete from billing.entitlements")
    second = company.audit_and_keep(as_of=LATER)
    assert (second.verdict, codes(second.findings)) == (Verdict.FAIL, ["subscription_missing"])
    assert second.changes["findings"]["closed"] == 0
    (section,) = (one for one in second.sections if one["section"] == "subscriptions")
    assert section["unjudged"] == ["paid_not_provisioned", "provisioned_not_paid"]


def test_a_class_that_was_not_judged_is_told_to_alerts_as_uncertain():
    told = class_facts(["event_gap", "stale_row"], [], {"event_gap"})
    assert {code: one["certain"] for code, one in told.items()} == {
        "event_gap": False,
        "stale_row": True,
    }
    results = check_results((), Verdict.PASS, {}, unjudged=("event_gap",))
    (arrived,) = (one for one in results if one.check_name == "events_arrived")
    assert arrived.metadata["classes"].data["event_gap"]["certain"] is False


def test_a_missing_list_leaves_only_what_rests_on_it_unjudged():
    assert unjudged_without({"payouts"}) == {
        *("payout_failed", "payout_late", "payout_unbalanced", "balance_unlinked"),
        *("bridge_nonzero", "stale_row"),
    }
    assert unjudged_without(()) == set()
    everything = unjudged_without(
        {"charges", "subscriptions", "customers", "events", "invoices", "credit_notes", "payouts"}
    )
    assert everything == CODES.keys() - {"source_incomplete", "unknown_version"}


def test_what_was_found_again_is_not_carried(wrong_books):
    found = wrong_books.store.findings(LIVE, OCTOBER)
    missing = [one for one in found if one.code == "missing_in_db"]
    carried = still_open(found, missing, {"missing_in_db", "amount_mismatch"}, LATER)
    assert codes(carried) == ["amount_mismatch"]
    assert count_findings(found, [*missing, *carried])["not_judged"] == 1


def test_an_audit_on_older_data_leaves_findings_and_newest_audit_alone(company):
    company.charge(1, 1200)
    newer = company.audit_and_keep(as_of=LATER)
    assert codes(newer.findings) == ["missing_in_db"]
    company.row(1, amount_minor=1200)
    company.as_of = AS_OF
    older = replace(company.audit(run_id="older", now=LAST), finished_at=LAST)
    assert older.as_of < newer.as_of
    published = company.store.publish(older)
    assert published.is_newest is False
    assert codes(company.store.findings(LIVE, OCTOBER)) == ["missing_in_db"]
    assert company.store.latest(LIVE, OCTOBER).audit_id == newer.audit_id
