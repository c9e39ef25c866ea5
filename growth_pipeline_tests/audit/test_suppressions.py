"""Findings that somebody decided not to count: the rule, the store, and what an audit makes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from growth_pipeline.audit.checks import check_results
from growth_pipeline.audit.codes import CODES, Severity
from growth_pipeline.audit.findings import Finding, Verdict
from growth_pipeline.audit.suppressions import (
    ALWAYS_COUNT,
    Extent,
    Suppression,
    checked,
    moved_in_sight,
    suppress,
)
from growth_pipeline.core.errors import UsageError
from growth_pipeline_tests.audit.company import AS_OF, LIVE, NOVEMBER, OCTOBER, TEST

NOW = datetime(2025, 11, 2, 9, tzinfo=UTC)
TODAY = NOW.date()


def a_finding(code: str = "duplicate_row", fingerprint: str = "f1", **fields: Any) -> Finding:
    known: dict[str, Any] = {
        "severity": CODES[code].severity,
        "object": "charge",
        "object_id": "ch_1",
        "currency": "usd",
        "impacts": {"usd": 100},
        "fingerprint": fingerprint,
    }
    return Finding(code=code, **{**known, **fields})


def a_suppression(number: int = 1, **fields: Any) -> Suppression:
    known: dict[str, Any] = {
        "suppression_id": UUID(int=number),
        "scope": LIVE,
        "fingerprint": None,
        "code": None,
        "month": None,
        "reason": "paid in cash",
        "suppressed_by": "ada",
        "suppressed_at": NOW,
        "until": date(2025, 12, 1),
    }
    if fields.get("fingerprint"):
        known["extent"] = Extent.of(a_finding())
    return Suppression(**{**known, **fields})


def said(findings: list[Finding], *suppressions: Suppression, month=OCTOBER, today=TODAY) -> list:
    marked = suppress(findings, suppressions, month, today)
    return [one.suppression and one.suppression["until"] for one in marked]


def test_a_finding_is_suppressed_by_its_name_alone():
    findings = [a_finding(fingerprint="f1"), a_finding(fingerprint="f2")]
    (first, second) = suppress(findings, [a_suppression(fingerprint="f1")], OCTOBER, TODAY)
    assert first.suppression == {"reason": "paid in cash", "by": "ada", "until": "2025-12-01"}
    assert (first.counts, second.counts) == (False, True)


def why_it_counts(decided_on: Finding, now: Finding) -> str | None:
    """Why a finding counts that was suppressed when it was another one; None if it does not."""
    decision = a_suppression(fingerprint="f1", extent=Extent.of(decided_on))
    (marked,) = suppress([now], [decision], OCTOBER, TODAY)
    assert marked.counts == ("outgrown" in marked.evidence)
    return marked.evidence["outgrown"]["why"] if marked.counts else None


def test_money_that_grew_counts_again_and_less_of_it_does_not():
    one_dollar = a_finding(impacts={"usd": 100})
    grown = a_finding(impacts={"usd": 9_900_000})
    assert why_it_counts(one_dollar, grown) == "its impact grew from USD 1.00 to USD 99,000.00"
    other_way = a_finding(impacts={"usd": -101})
    assert why_it_counts(one_dollar, other_way) == "its impact grew from USD 1.00 to USD 1.01"
    for less in ({"usd": 99}, {"usd": -100}, {}):
        assert why_it_counts(one_dollar, a_finding(impacts=less)) is None
    second = a_finding(impacts={"usd": 100, "jpy": -5})
    assert why_it_counts(one_dollar, second) == "its impact grew from JPY 0 to JPY 5"


def test_an_unknown_impact_is_no_zero_in_either_direction():
    unknown, known = a_finding(impacts=None), a_finding(impacts={"usd": 1})
    assert why_it_counts(known, unknown) == "its impact is unknown now"
    assert why_it_counts(unknown, known) == "its impact is known now and was not"
    assert why_it_counts(unknown, unknown) is None
    assert why_it_counts(unknown, a_finding(impacts={})) is None


def test_a_worse_severity_counts_again_and_a_better_one_does_not():
    low, high = a_finding(severity=Severity.LOW), a_finding(severity=Severity.HIGH)
    assert why_it_counts(low, high) == "it is HIGH now and was LOW"
    assert why_it_counts(high, low) is None


def test_a_class_that_joined_counts_again_and_one_that_left_does_not():
    alone, both = a_finding(), a_finding(also=("refund_missing",))
    assert why_it_counts(alone, both) == "refund_missing joined it"
    assert why_it_counts(both, alone) is None
    worse = a_finding("period_cutoff", severity=Severity.HIGH, also=("amount_mismatch",))
    said_at_once = why_it_counts(a_finding("period_cutoff"), worse)
    assert said_at_once == "it is HIGH now and was LOW; amount_mismatch joined it"


def test_a_decision_about_a_class_covers_it_however_bad():
    decision = a_suppression(code="duplicate_row", month=OCTOBER)
    assert said([a_finding(impacts={"usd": 10**9})], decision) == ["2025-12-01"]


def test_a_second_decision_covers_what_outgrew_the_first():
    grown = a_finding(impacts={"usd": 5000})
    first = a_suppression(1, fingerprint="f1", until=date(2026, 3, 1))
    second = a_suppression(2, fingerprint="f1", extent=Extent.of(grown))
    (marked,) = suppress([grown], [first, second], OCTOBER, TODAY)
    assert marked.suppression["until"] == "2025-12-01"
    assert "outgrown" not in marked.evidence


def test_why_it_counted_is_forgotten_when_it_is_so_no_longer():
    grown = a_finding(impacts={"usd": 5000})
    decision = a_suppression(fingerprint="f1")
    (marked,) = suppress([grown], [decision], OCTOBER, TODAY)
    (again,) = suppress([marked], [decision], OCTOBER, TODAY)
    assert again == marked
    assert suppress([marked], [], OCTOBER, TODAY) == [grown]


def test_a_class_is_suppressed_in_one_month_or_in_all():
    findings = [a_finding("refund_stuck"), a_finding("duplicate_row")]
    october = a_suppression(code="refund_stuck", month=OCTOBER)
    assert said(findings, october) == ["2025-12-01", None]
    assert said(findings, october, month=NOVEMBER) == [None, None]
    assert said(findings, a_suppression(code="refund_stuck"), month=NOVEMBER)[0] == "2025-12-01"


def test_a_suppression_ends_on_its_day():
    one = a_suppression(fingerprint="f1", until=TODAY + timedelta(days=2))
    assert said([a_finding()], one, today=TODAY + timedelta(days=1)) == ["2025-11-04"]
    assert said([a_finding()], one, today=TODAY + timedelta(days=2)) == [None]
    assert said([a_finding()], replace(one, lifted_at=NOW, lifted_by="bob")) == [None]


def test_of_several_suppressions_the_one_that_ends_last_is_named():
    short = a_suppression(1, fingerprint="f1", until=date(2025, 11, 5))
    long = a_suppression(2, code="duplicate_row", until=date(2026, 3, 1))
    assert said([a_finding()], short, long) == ["2026-03-01"]
    assert said([a_finding()], long, short) == ["2026-03-01"]


def test_what_says_that_the_audit_cannot_be_relied_on_always_counts():
    assert {"source_incomplete", "bridge_nonzero"} == ALWAYS_COUNT
    for code in ALWAYS_COUNT:
        assert said([a_finding(code)], a_suppression(fingerprint="f1")) == [None]
        with pytest.raises(UsageError, match="always counts"):
            checked(a_suppression(code=code))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"until": TODAY}, "would not end within a year"),
        ({"until": TODAY + timedelta(days=367)}, "would not end within a year"),
        ({"reason": "  "}, "--reason must hold some words"),
        ({"reason": "x" * 501}, "--reason must hold some words"),
        ({"suppressed_by": ""}, "--by must hold some words"),
        ({"fingerprint": None, "code": "no_such"}, "is no class"),
    ],
)
def test_a_decision_needs_a_reason_a_name_and_an_end_within_a_year(fields, sentence):
    with pytest.raises(UsageError, match=sentence):
        checked(a_suppression(**{"fingerprint": "f1", **fields}))


def test_a_year_from_now_is_still_allowed():
    one = a_suppression(fingerprint="f1", until=TODAY + timedelta(days=366))
    assert checked(one) is one


def test_money_of_a_suppressed_cut_off_is_not_moved_in_sight():
    moved = a_finding(
        "period_cutoff", evidence={"details": {"period_cutoff": {"moved_minor": -700}}}
    )
    decision = a_suppression(fingerprint="f1", extent=Extent.of(moved))
    (hidden,) = suppress([moved], [decision], OCTOBER, TODAY)
    assert moved_in_sight({"usd": 1000, "eur": 5}, [hidden]) == {"usd": 300, "eur": 5}
    assert moved_in_sight({"usd": 1000, "eur": 5}, [moved]) == {"usd": 1000, "eur": 5}


# --- on a database -----------------------------------------------------------------------------


@pytest.fixture
def doubled(company):
    """A company with one payment booked twice."""
    company.payment(1, 1000)
    company.row(1, amount_minor=1000, written_by="hand")
    return company


def test_a_suppressed_finding_is_printed_and_does_not_count(doubled):
    (open_one,) = doubled.audit().findings
    decision = a_suppression(fingerprint=open_one.fingerprint, extent=Extent.of(open_one))
    doubled.store.decisions.insert_suppression(decision)
    doubled.store.decisions.insert_suppression(decision)
    assert doubled.store.decisions.suppressions(LIVE) == [decision]
    assert doubled.store.decisions.suppressions(TEST) == []
    audit = doubled.audit()
    (finding,) = audit.findings
    assert finding.suppression == {"reason": "paid in cash", "by": "ada", "until": "2025-12-01"}
    assert audit.verdict is Verdict.PASS
    assert (audit.counts, audit.severities) == ({}, {"HIGH": 0, "MEDIUM": 0, "LOW": 0})
    assert audit.totals["usd"].remainder == 0, "its money stays in the bridge"
    results = check_results(audit.findings, audit.verdict, audit.money_difference)
    assert all(result.passed for result in results)


def test_a_suppressed_finding_that_grows_fails_the_audit_again_and_says_why(doubled):
    (open_one,) = doubled.audit().findings
    doubled.store.decisions.insert_suppression(
        a_suppression(fingerprint=open_one.fingerprint, extent=Extent.of(open_one))
    )
    assert doubled.audit().verdict is Verdict.PASS
    doubled.row(1, amount_minor=9_900_000, written_by="hand")
    audit = doubled.audit()
    (finding,) = audit.findings
    assert (finding.fingerprint, finding.suppression) == (open_one.fingerprint, None)
    assert audit.verdict is Verdict.FAIL
    assert "its impact grew from USD 10.00 to USD" in finding.evidence["outgrown"]["why"]
    doubled.store.publish(audit)
    (kept,) = doubled.store.latest(LIVE, OCTOBER).findings
    assert kept.evidence["outgrown"]["by"] == "ada"


def test_an_unknown_impact_is_read_back_as_unknown(doubled):
    unknown = Extent(Severity.LOW, frozenset({"refund_stuck", "amount_mismatch"}), None)
    decision = a_suppression(fingerprint="f1", extent=unknown)
    doubled.store.decisions.insert_suppression(decision)
    assert doubled.store.decisions.suppressions(LIVE) == [decision]


def test_it_counts_again_when_the_suppression_is_lifted_or_has_ended(doubled):
    (open_one,) = doubled.audit().findings
    decision = a_suppression(
        fingerprint=open_one.fingerprint, until=date(2025, 11, 20), extent=Extent.of(open_one)
    )
    decisions = doubled.store.decisions
    decisions.insert_suppression(decision)
    assert doubled.audit(now=AS_OF).verdict is Verdict.PASS
    assert doubled.audit(now=datetime(2025, 11, 20, tzinfo=UTC)).verdict is Verdict.FAIL
    assert decisions.lift_suppressions([decision.suppression_id], lifted_by="bob", now=NOW) == 1
    assert decisions.lift_suppressions([decision.suppression_id], lifted_by="eve", now=NOW) == 0
    assert doubled.audit(now=AS_OF).verdict is Verdict.FAIL


def test_owner_and_suppression_are_read_back_and_the_owner_outlives_a_closing(doubled):
    audit = doubled.audit()
    fingerprint = audit.findings[0].fingerprint
    doubled.store.publish(audit)
    assert doubled.store.decisions.set_owner(LIVE, fingerprint, "ada") == 1
    assert doubled.store.decisions.set_owner(TEST, fingerprint, "eve") == 0
    extent = Extent.of(audit.findings[0])
    doubled.store.decisions.insert_suppression(
        a_suppression(fingerprint=fingerprint, extent=extent)
    )
    later = doubled.audit(run_id="run-2", now=AS_OF + timedelta(hours=1))
    doubled.store.publish(later)
    (kept,) = doubled.store.latest(LIVE, OCTOBER).findings
    assert (kept.owner, kept.suppression["by"]) == ("ada", "ada")
    assert kept.severity is Severity.HIGH


def test_findings_are_found_by_the_beginning_of_their_name(doubled):
    audit = doubled.audit()
    doubled.store.publish(audit)
    fingerprint = audit.findings[0].fingerprint
    decisions = doubled.store.decisions
    assert [one["fingerprint"] for one in decisions.find_findings(fingerprint[:6])] == [fingerprint]
    assert decisions.find_findings("%") == []
    wanted = {"month": None, "code": None, "severity": None, "with_closed": False}
    assert len(decisions.list_findings(**wanted)) == 1
    assert decisions.list_findings(**{**wanted, "month": NOVEMBER}) == []
    assert decisions.list_findings(**{**wanted, "severity": "LOW"}) == []
    assert decisions.list_findings(**{**wanted, "code": "refund_stuck"}) == []
