"""What is new since the audit before: counted by hand, said in one sentence."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from growth_pipeline.audit.codes import Cause
from growth_pipeline.audit.evidence import Frame
from growth_pipeline.audit.months.changes import (
    PaymentChanges,
    Previous,
    content_of,
    count_findings,
    describe_changes,
)
from growth_pipeline_tests.audit.company import LIVE, OCTOBER

BEFORE = datetime(2025, 11, 2, 12, tzinfo=UTC)
FRAME = Frame(LIVE, OCTOBER)


def a_finding(id: str, *, minor: int = -100, **evidence: object):
    return FRAME.finding(
        "missing_in_db", "charge", id, currency="usd", impacts={"usd": minor}, evidence=evidence
    )


def previous(*findings) -> Previous:
    return Previous("audit-1", "audit@1", BEFORE, BEFORE, findings, ())


def test_findings_are_new_changed_closed_or_as_they_were():
    before = [a_finding("ch_1"), a_finding("ch_2"), a_finding("ch_3")]
    now = [a_finding("ch_2", minor=-99), a_finding("ch_3"), a_finding("ch_4"), a_finding("ch_5")]
    assert count_findings(before, now) == {
        "new": 2,
        "changed": 1,
        "closed": 1,
        "unchanged": 1,
        "not_judged": 0,
    }


def test_dates_owners_and_suppressions_are_no_news_about_a_finding():
    finding = a_finding("ch_1", waiting_days=11)
    later = replace(
        finding,
        first_seen_at=BEFORE,
        last_seen_at=BEFORE,
        owner="ada",
        suppression={"reason": "known", "by": "ada", "until": "2026-01-01"},
        evidence={"waiting_days": 12},
    )
    assert content_of(later) == content_of(finding)
    assert content_of(replace(finding, cause=Cause.QUARANTINED)) != content_of(finding)
    assert content_of(a_finding("ch_1", stripe={"status": "failed"})) != content_of(finding)


def test_a_text_of_any_kind_has_a_content():
    assert len(content_of(a_finding("ch_1", text="\ud800\x00"))) == 32


def test_the_first_audit_of_a_month_says_so():
    told = describe_changes(None, [a_finding("ch_1")], PaymentChanges(judged=1))
    assert told == {
        "since": None,
        "previous_audit_id": None,
        "findings": {"new": 1, "changed": 0, "closed": 0, "unchanged": 0, "not_judged": 0},
        "payments": {
            "changed_at_stripe": None,
            "changed_in_books": None,
            "judged_again": 1,
            "taken_over": 0,
        },
        "said": "This is the first audit of this month in UTC.",
    }


def test_nothing_changed_is_said():
    finding = a_finding("ch_1")
    payments = PaymentChanges(at_stripe=0, in_books=0, taken_over=1)
    told = describe_changes(previous(finding), [finding], payments)
    assert told["said"] == (
        "Since the audit as of 2025-11-02 12:00:00 UTC nothing changed: 1 finding is as it was."
    )
    assert (told["since"], told["previous_audit_id"]) == (BEFORE.isoformat(), "audit-1")


def test_unknown_is_not_nothing():
    told = describe_changes(previous(), [], PaymentChanges(at_stripe=None, in_books=0))
    assert "an unknown number changed at Stripe" in told["said"]
    assert "nothing changed" not in told["said"]


def test_what_changed_is_counted_in_the_sentence():
    payments = PaymentChanges(at_stripe=4, in_books=2, judged=3, taken_over=5)
    told = describe_changes(previous(a_finding("ch_1")), [a_finding("ch_2")], payments)
    assert told["said"] == (
        "Since the audit as of 2025-11-02 12:00:00 UTC: 1 finding is new, 0 changed, 1 closed, "
        "0 are as they were. Payments: 4 changed at Stripe, 2 in the books; 3 judged, 5 taken over "
        "without looking again."
    )


def test_a_verdict_that_changed_by_a_suppression_is_said():
    finding = a_finding("ch_1")
    hidden = replace(finding, suppression={"reason": "known", "by": "ada", "until": "2026-01-01"})
    before = replace(previous(finding), verdict="FAIL")
    payments = PaymentChanges(at_stripe=0, in_books=0)
    told = describe_changes(before, [hidden], payments, verdict="PASS")
    assert told["said"] == (
        "Since the audit as of 2025-11-02 12:00:00 UTC: the verdict went from FAIL to PASS, 1 is "
        "newly suppressed. No finding and no payment changed: 1 finding is as it was."
    )
    back = replace(previous(hidden), verdict="PASS")
    told = describe_changes(back, [finding], payments, verdict="FAIL")
    assert "went from PASS to FAIL, 1 counts again." in told["said"]


def test_the_first_audit_names_its_zone():
    told = describe_changes(None, [], PaymentChanges(), tz="Europe/Berlin")
    assert told["said"] == "This is the first audit of this month in Europe/Berlin."
