from __future__ import annotations

from dataclasses import replace

import pytest

from growth_pipeline.audit.codes import CODES, Cause, Severity
from growth_pipeline.audit.findings import (
    Finding,
    Verdict,
    action_of,
    count_by_code,
    count_by_severity,
    finding_fingerprint,
    in_table_order,
    sort_findings,
    verdict_of,
    without_twins,
)
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month


def a_finding(code: str, object_id: str = "ch_1", impact: int | None = 0) -> Finding:
    impacts = None if impact is None else {"usd": impact}
    return Finding(code, CODES[code].severity, "charge", object_id, "usd", impacts)


def verdict(*codes: str, moved: int = 0, gross: int = 100_000, remainder: int = 0) -> Verdict:
    return verdict_of(
        [a_finding(code) for code in codes],
        moved={"usd": moved},
        gross={"usd": gross},
        remainders=[remainder],
    )


def test_the_codes_are_those_of_the_contract_in_its_order():
    assert (
        list(CODES)
        == (
            "source_incomplete livemode_leak account_leak missing_in_stripe missing_in_db duplicate_row status_mismatch"
            " uncaptured_booked currency_mismatch amount_mismatch amount_rounding refund_missing refund_excess"
            " refund_failed_booked refund_stuck dispute_missing dispute_state invoice_payment_sum"
            " invoice_paid_no_charge credit_note_unapplied fee_mismatch net_mismatch balance_unlinked"
            " payout_unbalanced payout_failed payout_late subscription_missing subscription_status"
            " duplicate_subscription paid_not_provisioned provisioned_not_paid tier_mismatch quantity_mismatch"
            " period_mismatch mrr_drift customer_unmapped customer_shared customer_deleted event_gap"
            " unknown_version orphan_row stale_row email_differs period_cutoff bridge_nonzero"
        ).split()
    )


def test_any_high_finding_fails():
    assert verdict("period_cutoff", "missing_in_db") is Verdict.FAIL
    assert verdict("source_incomplete") is Verdict.FAIL


def test_medium_findings_warn_and_low_ones_pass():
    assert verdict("amount_rounding") is Verdict.WARNING
    assert verdict("period_cutoff") is Verdict.PASS
    assert verdict() is Verdict.PASS


def test_a_bridge_that_is_not_closed_fails_without_any_finding():
    assert verdict(remainder=1) is Verdict.FAIL
    assert verdict(remainder=-1) is Verdict.FAIL


@pytest.mark.parametrize(("moved", "expected"), [(100, Verdict.PASS), (101, Verdict.WARNING)])
def test_money_moved_between_months_warns_above_a_thousandth_of_gross(moved, expected):
    assert verdict("period_cutoff", moved=moved, gross=100_000) is expected


def test_codes_come_in_table_order_without_repeats():
    assert in_table_order(["fee_mismatch", "missing_in_db", "fee_mismatch"]) == [
        "missing_in_db",
        "fee_mismatch",
    ]


def test_a_code_outside_the_table_is_an_error():
    with pytest.raises(KeyError):
        in_table_order(["something_else"])


def test_findings_are_counted_by_code_and_by_severity():
    findings = [a_finding("fee_mismatch"), a_finding("missing_in_db"), a_finding("missing_in_db")]
    assert list(count_by_code(findings).items()) == [("missing_in_db", 2), ("fee_mismatch", 1)]
    assert count_by_severity(findings) == {"HIGH": 2, "MEDIUM": 1, "LOW": 0}


def test_the_worst_and_largest_come_first():
    findings = [
        a_finding("period_cutoff"),
        a_finding("missing_in_db", "ch_small", -5),
        a_finding("missing_in_db", "ch_large", -500),
        a_finding("orphan_row"),
    ]
    assert [one.object_id for one in sort_findings(findings)][:2] == ["ch_large", "ch_small"]
    assert [one.severity for one in sort_findings(findings)][2:] == [Severity.MEDIUM, Severity.LOW]


def test_an_unknown_impact_is_null_and_no_zero():
    assert a_finding("source_incomplete", impact=None).to_dict()["impact_minor"] is None
    assert a_finding("period_cutoff").to_dict()["impact_minor"] == 0


def test_a_problem_keeps_its_name_in_every_audit_and_differs_between_months_and_modes():
    live, test = Scope("acct_1", True), Scope("acct_1", False)
    name = finding_fingerprint(live, Month(2025, 10), "missing_in_db", "ch_1")
    assert name == finding_fingerprint(live, Month(2025, 10), "missing_in_db", "ch_1")
    others = {
        finding_fingerprint(test, Month(2025, 10), "missing_in_db", "ch_1"),
        finding_fingerprint(live, Month(2025, 11), "missing_in_db", "ch_1"),
        finding_fingerprint(live, Month(2025, 10), "duplicate_row", "ch_1"),
        finding_fingerprint(live, Month(2025, 10), "missing_in_db", "ch_2"),
    }
    assert name not in others
    assert len(others) == 4


def test_only_what_stands_in_the_books_is_booked_again():
    month = Month(2025, 10)
    for code in ("missing_in_db", "refund_missing", "dispute_state", "fee_mismatch"):
        assert "materialise billing/payments" in action_of(code, Cause.HANDLED_WRONG, month)
        assert action_of(code, Cause.NEVER_DELIVERED, month) == CODES[code].action
    for code in ("paid_not_provisioned", "credit_note_unapplied", "stale_row", "duplicate_row"):
        assert action_of(code, Cause.HANDLED_WRONG, month) == CODES[code].action


def test_suppressed_findings_do_not_count_for_the_verdict():
    hidden = {"reason": "known", "by": "ada", "until": "2026-01-01"}
    findings = [
        Finding("duplicate_row", Severity.HIGH, "charge", "ch_1", "usd", {}, suppression=hidden),
        Finding("refund_stuck", Severity.MEDIUM, "refund", "re_1", "usd", {}, suppression=hidden),
    ]
    nothing = {"moved": {}, "gross": {}}
    assert verdict_of(findings, **nothing, remainders=[0]) is Verdict.PASS
    assert verdict_of(findings, **nothing, remainders=[1]) is Verdict.FAIL
    assert [one.to_dict()["suppression"] for one in findings] == [hidden, hidden]


def test_two_findings_of_one_name_become_the_worse_one_that_names_the_other():
    mild, bad, other = (
        replace(a_finding(code, impact=impact), fingerprint=name)
        for code, name, impact in (
            ("missing_in_db", "same", -5),
            ("missing_in_db", "same", -700),
            ("duplicate_row", "own", 3),
        )
    )
    kept = without_twins([mild, bad, other])
    assert {one.fingerprint: one.impacts for one in kept} == {
        "same": {"usd": -700},
        "own": {"usd": 3},
    }
    (told,) = kept[0].evidence["also_found"]
    assert told["impacts_minor"] == {"usd": -5}
    assert "also_found" not in kept[1].evidence
