"""The audit's classes of findings as asset checks: a check for each group, a result for each month.

A failed check never stops a run: the report must exist exactly when the books are wrong.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import dagster as dg

from growth_pipeline.audit.codes import Severity
from growth_pipeline.audit.findings import Finding, Verdict, count_by_code
from growth_pipeline.audit.report.class_facts import class_facts, risk_in_words, signed_money
from growth_pipeline.billing.partitions import monthly_check
from growth_pipeline.core.errors import GrowthError

if TYPE_CHECKING:
    from growth_pipeline.audit.months.closing import Past
    from growth_pipeline.storage.lake import Lake

FINDINGS_KEY = ("audit", "findings")
REPORT_KEY = ("audit", "report")
VERDICT = "verdict"
CLOSE = "closed_month_adds_up"
_EXAMPLES = 10

# Every code of the contract is in exactly one group.
GROUPS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "sources_are_complete": ("Every list of Stripe was read to its end.", ("source_incomplete",)),
    "rows_are_of_this_account": (
        "No booked row is marked with another account or mode.",
        ("livemode_leak", "account_leak"),
    ),
    "booked_payments_exist_in_stripe": (
        "Stripe knows every booked id.",
        ("missing_in_stripe",),
    ),
    "settled_payments_are_booked": (
        "Every settled payment of Stripe has a row.",
        ("missing_in_db",),
    ),
    "payments_are_booked_once": ("No payment has two rows.", ("duplicate_row",)),
    "statuses_agree": (
        "Both sides agree whether a payment succeeded.",
        ("status_mismatch", "uncaptured_booked"),
    ),
    "currencies_agree": ("Both sides have the same currency.", ("currency_mismatch",)),
    "amounts_agree": (
        "Both sides have the same amount, to the minor unit.",
        ("amount_mismatch", "amount_rounding"),
    ),
    "refunds_agree": (
        "Both sides have the same refunds, and no refund is stuck.",
        ("refund_missing", "refund_excess", "refund_failed_booked", "refund_stuck"),
    ),
    "disputes_agree": (
        "Both sides have the same disputed funds.",
        ("dispute_missing", "dispute_state"),
    ),
    "fees_and_net_agree": (
        "Booked fee and net are the balance transaction's.",
        ("fee_mismatch", "net_mismatch"),
    ),
    "references_exist": (
        "Every row and balance transaction points at something known.",
        ("balance_unlinked", "orphan_row"),
    ),
    "invoices_agree": (
        "Every paid invoice and credit note is explained and booked.",
        ("invoice_payment_sum", "invoice_paid_no_charge", "credit_note_unapplied"),
    ),
    "payouts_agree": (
        "Every payout is the sum of its balance transactions and arrives.",
        ("payout_unbalanced", "payout_failed", "payout_late"),
    ),
    "subscriptions_agree": (
        "Both sides have the same subscriptions, plans, seats and periods.",
        (
            "subscription_missing",
            "subscription_status",
            "duplicate_subscription",
            "tier_mismatch",
            "quantity_mismatch",
            "period_mismatch",
            "mrr_drift",
        ),
    ),
    "access_agrees_with_payment": (
        "Who pays has access, and nobody else.",
        ("paid_not_provisioned", "provisioned_not_paid"),
    ),
    "customers_agree": (
        "Every paying customer is one user's, and lives in Stripe.",
        ("customer_unmapped", "customer_shared", "customer_deleted", "email_differs"),
    ),
    "events_arrived": (
        "Every event of Stripe's list arrived and could be read.",
        ("event_gap", "unknown_version"),
    ),
    "mirror_is_fresh": ("Mirrored rows are what Stripe shows today.", ("stale_row",)),
    "months_agree": ("Both sides book a payment in the same month.", ("period_cutoff",)),
    "totals_are_explained": (
        "Booked less Stripe's total is what the findings say, to the minor unit.",
        ("bridge_nonzero",),
    ),
}

AUDIT_CHECKS = (
    *(
        monthly_check(FINDINGS_KEY, name, description, metadata={"classes": ", ".join(codes)})
        for name, (description, codes) in GROUPS.items()
    ),
    monthly_check(FINDINGS_KEY, VERDICT, "The month's verdict is PASS."),
    monthly_check(
        FINDINGS_KEY,
        CLOSE,
        "What a closed month was frozen as, and what changed since, add up to what it is now.",
    ),
)


REPORT_CHECKS = (
    monthly_check(
        REPORT_KEY,
        "files_are_whole",
        "Each file of the report can be read back and is what was written.",
    ),
)


# Against one damaged disk or a hasty hand: what must stay is looked for at every cleaning.
KEPT_CHECKS = (
    dg.AssetCheckSpec(
        "newest_and_good_reports_are_there",
        asset=dg.AssetKey(["audit", "kept_reports"]),
        description="The newest and the last good report of every month, and the one that closed "
        "it, are in the lake.",
    ),
)


def check_kept(missing: Sequence[str]) -> dg.AssetCheckResult:
    """Whether every report that must stay is there; an audit of its month writes it again."""
    return dg.AssetCheckResult(
        check_name="newest_and_good_reports_are_there",
        passed=not missing,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"gone: {', '.join(missing[:_EXAMPLES])}" if missing else None,
        metadata={"missing": len(missing)},
    )


def check_report(audit_id: str, artifacts: Mapping[str, str], lake: Lake) -> dg.AssetCheckResult:
    """Whether the files just written can be read back; a file's name is the hash of its bytes."""
    problems = [path for path in artifacts.values() if not _is_whole(path, lake)]
    return dg.AssetCheckResult(
        check_name="files_are_whole",
        passed=not problems,
        description=f"unreadable or changed: {', '.join(problems)}" if problems else None,
        metadata={"files": len(artifacts), "audit_id": audit_id},
    )


def _is_whole(path: str, lake: Lake) -> bool:
    try:
        data = lake.read_artifact(path)
    except GrowthError:
        return False
    return sha256(data).hexdigest() == PurePosixPath(path).stem


def check_close(past: Past, *, tz: str = "UTC") -> dg.AssetCheckResult:
    """Whether frozen figures plus the log are the figures of now; a month that is open passes."""
    said = past.problem or "; ".join(past.wrong)
    return dg.AssetCheckResult(
        check_name=CLOSE,
        passed=not said,
        severity=dg.AssetCheckSeverity.WARN if past.problem else dg.AssetCheckSeverity.ERROR,
        description=said or None,
        metadata={
            "closed_at": past.close.closed_at.isoformat() if past.close else "not closed",
            "restatements": len(past.log) + len(past.fresh),
            "tz": tz,
            "remedy": past.remedy,
        },
    )


def check_results(
    findings: Sequence[Finding],
    verdict: Verdict,
    difference: Mapping[str, int],
    *,
    is_provisional: bool = False,
    tz: str = "UTC",
    unjudged: Collection[str] = (),
) -> list[dg.AssetCheckResult]:
    """One result a group and one for the verdict; suppressed findings do not count.

    `difference` is booked - Stripe of the month's totals by currency, minor units. `tz` is the
    zone of the month: alerts keep the months of different zones apart. `unjudged`: classes that
    the audit did not judge; no alert about one of them is over.
    """
    counted = [finding for finding in findings if finding.counts]
    results = [
        _group_result(
            name,
            [finding for finding in counted if finding.code in codes],
            {
                "classes": dg.MetadataValue.json(class_facts(codes, findings, unjudged)),
                "not_judged": ", ".join(code for code in codes if code in unjudged),
                "tz": tz,
            },
        )
        for name, (_, codes) in GROUPS.items()
    ]
    note = "; provisional, the month is not over" if is_provisional else ""
    return [*results, _verdict_result(counted, verdict, difference, note, tz)]


def sum_impacts(findings: Iterable[Finding]) -> dict[str, int]:
    """Booked less Stripe by currency, minor units, over findings whose impact is known."""
    totals: defaultdict[str, int] = defaultdict(int)
    for finding in findings:
        for currency, impact in (finding.impacts or {}).items():
            totals[currency] += impact
    return dict(sorted(totals.items()))


def findings_table(findings: Sequence[Finding], limit: int) -> dg.TableMetadataValue:
    """The first findings as a table in Dagster's UI; minor units of the named currency."""
    rows = [
        dg.TableRecord(
            {
                "severity": str(finding.severity),
                "code": finding.code,
                "object": finding.object_id,
                "currency": finding.currency or "",
                "impact_minor": _known(finding.impact_minor),
                "impacts": finding.impacts_in_words,
                "action": finding.action,
            }
        )
        for finding in findings[:limit]
    ]
    columns = ("severity", "code", "object", "currency", "impact_minor", "impacts", "action")
    return dg.MetadataValue.table(rows, dg.TableSchema([dg.TableColumn(name) for name in columns]))


def _known(impact_minor: int | None) -> str:
    return "unknown" if impact_minor is None else str(impact_minor)


def _group_result(
    name: str, findings: Sequence[Finding], told: Mapping[str, dg.MetadataValue | str]
) -> dg.AssetCheckResult:
    worst = min((finding.severity for finding in findings), key=list(Severity).index, default=None)
    impacts = sum_impacts(findings)
    metadata: dict[str, dg.MetadataValue | int | str | None] = {
        "findings": len(findings),
        "counts": dg.MetadataValue.json(count_by_code(findings)),
        "impact_minor": dg.MetadataValue.json(impacts),
        **told,
    }
    if worst is not None:
        metadata["severity"] = str(worst)
        metadata["remedy"] = " ".join(part for part in (findings[0].action,) if part)
        metadata["examples"] = findings_table(findings, _EXAMPLES)
    return dg.AssetCheckResult(
        check_name=name,
        passed=worst is None,
        severity=_severity(worst),
        description=_summary(findings, impacts) if findings else None,
        metadata=metadata,
    )


def _verdict_result(
    findings: Sequence[Finding],
    verdict: Verdict,
    difference: Mapping[str, int],
    note: str,
    tz: str,
) -> dg.AssetCheckResult:
    warning = verdict is Verdict.WARNING
    return dg.AssetCheckResult(
        check_name=VERDICT,
        passed=verdict is Verdict.PASS,
        severity=dg.AssetCheckSeverity.WARN if warning else dg.AssetCheckSeverity.ERROR,
        description=f"{verdict}: {_summary(findings, difference)}{note}",
        metadata={
            "verdict": str(verdict),
            "findings": len(findings),
            "money_difference_minor": dg.MetadataValue.json(dict(difference)),
            "at_risk": risk_in_words(findings),
            "tz": tz,
        },
    )


def _severity(worst: Severity | None) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.WARN if worst is Severity.LOW else dg.AssetCheckSeverity.ERROR


def _summary(findings: Sequence[Finding], impacts: Mapping[str, int]) -> str:
    """`3 findings (missing_in_db 2, duplicate_row 1), -45.00 usd`: what an alert says."""
    counts = ", ".join(f"{code} {count}" for code, count in count_by_code(findings).items())
    said = f"{len(findings)} finding{'s' * (len(findings) != 1)}"
    money = [signed_money(minor, currency) for currency, minor in impacts.items() if minor]
    return ", ".join([f"{said} ({counts})" if counts else said, *money])
