"""What the audit can find: classes, severities, findings and the verdict over them.

Pure. Which class a pair belongs to is decided in compare.py; how money adds up in totals.py.
Contract: docs/metrics.md, "Revenue audit".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from growth_pipeline.core.ids import Scope, fingerprint
from growth_pipeline.core.periods import Month


class Severity(StrEnum):
    """How bad one finding is; HIGH fails the audit, MEDIUM warns, LOW is listed."""

    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


class Verdict(StrEnum):
    """The answer of one audit."""

    PASS = "PASS"  # noqa: S105 - the word of the contract, no password
    WARNING = "WARNING"
    FAIL = "FAIL"


class Cause(StrEnum):
    """Why the books differ, as far as the event ledger and the row itself can tell."""

    NEVER_DELIVERED = "never_delivered"
    QUARANTINED = "delivered_and_quarantined"
    HANDLED_WRONG = "handled_wrong"
    WRITTEN_BY_HAND = "written_by_hand"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Code:
    """One class of finding.

    `bridged`: its impact is part of booked net - Stripe net of the month. The impact of the others
    (fees, balance movements) lies outside the payments and never enters the bridge.
    """

    name: str
    severity: Severity
    meaning: str
    action: str
    bridged: bool = True


def _codes(*rows: Code) -> dict[str, Code]:
    return {row.name: row for row in rows}


# In the order of the contract's table: the first class that fits is the primary one.
CODES: dict[str, Code] = _codes(
    Code(
        "source_incomplete",
        Severity.HIGH,
        "a source was not read to its end; there is no verdict on that part",
        "Check the Stripe key's rights and the network, then extract and audit the month again.",
        bridged=False,
    ),
    Code(
        "livemode_leak",
        Severity.HIGH,
        "a booked row is marked with another mode (test or live) than its Stripe object has",
        "Move the row to the right mode and give each mode its own key and webhook endpoint.",
    ),
    Code(
        "account_leak",
        Severity.HIGH,
        "a booked row is marked with another account than its Stripe object has",
        "Move the row to the right account and give each account its own key and webhook endpoint.",
    ),
    Code(
        "missing_in_stripe",
        Severity.HIGH,
        "a booked id is unknown to Stripe in this account and mode",
        "Find out who wrote the row; void it if the payment never happened.",
    ),
    Code(
        "missing_in_db",
        Severity.HIGH,
        "a settled payment has no row in the books",
        "Open the payment in the Stripe dashboard and resend its event to the webhook endpoint.",
    ),
    Code(
        "duplicate_row",
        Severity.HIGH,
        "one Stripe payment is booked in several rows",
        "Keep one row, remove the others, and let the writer insert by the Stripe id.",
    ),
    Code(
        "status_mismatch",
        Severity.HIGH,
        "Stripe and the books disagree about whether the payment succeeded",
        "Correct the row's status from Stripe; resend the payment's newest event.",
    ),
    Code(
        "uncaptured_booked",
        Severity.MEDIUM,
        "a payment is booked before it was captured, or while it is pending for over a day",
        "Book the payment at its capture, not at its authorisation.",
    ),
    Code(
        "currency_mismatch",
        Severity.HIGH,
        "the currencies differ",
        "Correct the row's currency; look for a default currency in the code that wrote it.",
    ),
    Code(
        "amount_mismatch",
        Severity.HIGH,
        "the amounts differ by more than one minor unit",
        "Correct the row's amount from Stripe; the named factor hints at the bug that wrote it.",
    ),
    Code(
        "amount_rounding",
        Severity.MEDIUM,
        "the amounts differ by exactly one minor unit",
        "Correct the row's amount; calculate money in whole minor units, never in floats.",
    ),
    Code(
        "refund_missing",
        Severity.HIGH,
        "the books have less refunded than Stripe",
        "Recompute the row's refunds from Stripe's refund objects; resend the refund's event.",
    ),
    Code(
        "refund_excess",
        Severity.HIGH,
        "the books have more refunded than Stripe",
        "Recompute the row's refunds from Stripe's refund objects; a resent event may count twice.",
    ),
    Code(
        "refund_failed_booked",
        Severity.HIGH,
        "a refund failed or was canceled and is still booked",
        "Take the failed refund out of the row; handle the events of failed refunds.",
    ),
    Code(
        "refund_stuck",
        Severity.MEDIUM,
        "a refund is pending or waits for an action for more than 10 days",
        "Top up the Stripe balance or ask the customer for bank details, in the Stripe dashboard.",
        bridged=False,
    ),
    Code(
        "dispute_missing",
        Severity.HIGH,
        "disputed funds were withdrawn and are not booked",
        "Book the withdrawal; handle the dispute events of the account.",
    ),
    Code(
        "dispute_state",
        Severity.HIGH,
        "the books hold another amount of disputed funds than Stripe",
        "Correct the row's disputed funds from Stripe; resend the dispute's closing event.",
    ),
    Code(
        "fee_mismatch",
        Severity.MEDIUM,
        "the booked fee is not the balance transaction's",
        "Take the fee from the balance transaction instead of an estimate.",
        bridged=False,
    ),
    Code(
        "net_mismatch",
        Severity.MEDIUM,
        "the booked net after fees is not the balance transaction's",
        "Take the net from the balance transaction instead of an estimate.",
        bridged=False,
    ),
    Code(
        "balance_unlinked",
        Severity.MEDIUM,
        "a balance transaction has no known source",
        "Look the transaction up in the Stripe dashboard; its source may be of a new type.",
        bridged=False,
    ),
    Code(
        "orphan_row",
        Severity.MEDIUM,
        "a row points at a customer, invoice or charge that exists on neither side",
        "Correct the reference, or find out which account the object belongs to.",
        bridged=False,
    ),
    Code(
        "period_cutoff",
        Severity.LOW,
        "both sides agree in full, but book the payment in different months",
        "None needed: this month's total differs by it, and the other month's the other way.",
    ),
    Code(
        "bridge_nonzero",
        Severity.HIGH,
        "the totals differ by more than the findings explain",
        "This is a bug of the audit: report it with this finding's evidence.",
        bridged=False,
    ),
)

ORDER: dict[str, int] = {name: place for place, name in enumerate(CODES)}


@dataclass(frozen=True, slots=True)
class Finding:
    """One discrepancy of one month.

    Grain: one Stripe object (or source). `impacts` is booked - Stripe by currency in minor units,
    without zeros; None is unknown, not 0. `currency` is the booked currency, else Stripe's.
    """

    code: str
    severity: Severity
    object: str
    object_id: str
    currency: str | None
    impacts: Mapping[str, int] | None
    also: tuple[str, ...] = ()
    cause: Cause = Cause.UNKNOWN
    action: str = ""
    command: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    first_seen_at: datetime | None = None
    last_seen_at: datetime | None = None

    @property
    def impact_minor(self) -> int | None:
        """Impact in `currency`, minor units; None is unknown."""
        if self.impacts is None:
            return None
        return self.impacts.get(self.currency or "", 0)

    def to_dict(self) -> dict[str, Any]:
        """The finding as JSON knows it; the same keys in the report, the API and the CLI."""
        return {
            "fingerprint": self.fingerprint,
            "code": self.code,
            "severity": str(self.severity),
            "object": self.object,
            "object_id": self.object_id,
            "currency": self.currency,
            "impact_minor": self.impact_minor,
            "impacts_minor": None if self.impacts is None else dict(self.impacts),
            "also": list(self.also),
            "cause": str(self.cause),
            "action": self.action,
            "command": self.command,
            "evidence": dict(self.evidence),
            "first_seen_at": _iso(self.first_seen_at),
            "last_seen_at": _iso(self.last_seen_at),
        }


def _iso(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant else None


def finding_fingerprint(scope: Scope, month: Month, code: str, object_id: str) -> str:
    """Name of one problem: equal in every audit that sees it, so that it can close itself."""
    return fingerprint(scope.account_id, scope.mode, month.key, code, object_id)


def in_table_order(codes: Iterable[str]) -> list[str]:
    """Codes without repeats in the order of the contract's table; the first is the primary one.

    Raises: KeyError for a code outside the table.
    """
    return sorted(set(codes), key=ORDER.__getitem__)


def sort_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Findings as people read them: by severity, then the most money, then table order and id.

    Money of different currencies is compared by digits only, to put large numbers first.
    """
    severities = list(Severity)
    return sorted(
        findings,
        key=lambda finding: (
            severities.index(finding.severity),
            -abs(finding.impact_minor or 0),
            ORDER[finding.code],
            finding.object_id,
        ),
    )


def count_by_code(findings: Iterable[Finding]) -> dict[str, int]:
    """Findings per code, in table order; codes without findings are left out."""
    counts = Counter(finding.code for finding in findings)
    return {code: counts[code] for code in in_table_order(counts)}


def count_by_severity(findings: Iterable[Finding]) -> dict[str, int]:
    """Findings per severity; all three keys, 0 where there are none."""
    counts = Counter(finding.severity for finding in findings)
    return {str(severity): counts[severity] for severity in Severity}


# The row itself is the mistake: who wrote it matters, not what Stripe sent.
MADE_BY_ROW = frozenset(
    {"livemode_leak", "account_leak", "missing_in_stripe", "duplicate_row", "orphan_row"}
)


def action_of(code: str, cause: Cause, month: Month) -> str:
    """What to do about a finding, by its class and its cause.

    A row that the mirror could book right is booked again by the asset that books payments.
    """
    action = CODES[code].action
    if cause is not Cause.HANDLED_WRONG or code in MADE_BY_ROW:
        return action
    return (
        f"{action} The mirror knows the right state: "
        f"materialise billing/payments of {month} in Dagster to book it again."
    )


# Money that agreeing pairs move between months may not exceed this part of gross: 0.1 %.
MOVED_LIMIT = (1, 1000)


def verdict_of(
    findings: Iterable[Finding],
    *,
    moved: Mapping[str, int],
    gross: Mapping[str, int],
    remainders: Iterable[int],
) -> Verdict:
    """FAIL, WARNING or PASS by the contract's rule.

    `moved` is the money that LOW findings move between months, `gross` Stripe's gross, both by
    currency in minor units. An incomplete source is a HIGH finding.
    Source: docs/metrics.md, "Revenue audit", "Verdict".
    """
    severities = {finding.severity for finding in findings}
    if Severity.HIGH in severities or any(remainders):
        return Verdict.FAIL
    numerator, denominator = MOVED_LIMIT
    if Severity.MEDIUM in severities or any(
        money * denominator > gross.get(currency, 0) * numerator
        for currency, money in moved.items()
    ):
        return Verdict.WARNING
    return Verdict.PASS
